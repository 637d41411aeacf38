/** How values become shades and pixels: curve, gamma, opacity, resampling, masked values. */

import { h } from "../dom.js";
import { choice, field, put, slider } from "./fields.js";
import { CURVES, RESAMPLINGS } from "./model.js";

/** The section of tones and pixels. */
export class ToneSection {
  /** @param {{change: (patch: object, how?: object) => void, setOpacity: (value: number) => void}} editor */
  constructor(editor) {
    this.curve = choice(CURVES, (curve) => editor.change({ curve }, { measure: editor.look.curve === "equalize" }));
    this.gamma = slider("Gamma", { low: 0.1, high: 5, step: 0.05, parameter: "gamma" }, (gamma) => editor.change({ gamma }, { slides: true }));
    this.opacity = slider("Opacity", { low: 0, high: 1, step: 0.01, parameter: "opacity" }, (value) => {
      if (value >= 0 && value <= 1) editor.setOpacity(value);
    });
    this.resampling = choice(RESAMPLINGS, (resampling) => editor.change({ resampling }));
    this.nodata = h("input", {
      type: "text",
      inputMode: "decimal",
      spellcheck: false,
      placeholder: "as the file has it",
      oninput: ({ target }) => editor.change({ nodata: target.value.trim() }, { slides: true }),
    });
    this.curveField = field("Curve", this.curve, "stretch");
    this.element = h(
      "section",
      { className: "style-part" },
      h("h3", {}, "Tone and pixels"),
      this.gamma.element,
      this.opacity.element,
      this.curveField,
      field("Resampling", this.resampling, "resampling"),
      field("Masked value", this.nodata, "nodata"),
    );
  }

  /** Show a look, and the opacity of its layer. */
  show(look, opacity) {
    const isPlain = look.classes !== null || look.min.length === 0;
    this.gamma.element.hidden = isPlain && look.curve !== "equalize";
    this.curveField.hidden = isPlain && look.curve !== "equalize";
    put(this.curve, look.curve);
    this.gamma.show(look.gamma);
    this.opacity.show(opacity);
    put(this.resampling, look.resampling);
    put(this.nodata, look.nodata);
  }
}
