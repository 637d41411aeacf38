/** Start the page, and say so when it cannot start. */

import { showMessage } from "./messages.js";

try {
  const { start } = await import("./page.js");
  await start();
} catch (error) {
  console.error(error);
  showMessage("start", { title: "The page could not start.", text: error.message });
}
