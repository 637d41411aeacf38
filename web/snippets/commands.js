/** For the command line: curl, and the description that GDAL opens. */

import { escaped, lines, sh } from "./quoting.js";
import { middleTile } from "./subject.js";

const MERCATOR_M = "20037508.342789244";

/** Commands that fetch a tile, a picture of it all, and the legend. */
export function curl(subject) {
  const { z, x, y } = middleTile(subject);
  const tile = subject.xyz({ faded: true }).replace("{z}", z).replace("{x}", x).replace("{y}", y);
  return lines(
    `curl -fo tile.png ${sh(tile)}`,
    `curl -fo picture.png ${sh(subject.preview)}`,
    `curl -fo legend.svg ${sh(subject.legend)}`,
  );
}

/** A file that GDAL, and so rasterio, opens as a raster in EPSG:3857: red, green, blue, alpha. */
export function gdal(subject) {
  const template = subject.xyz({ faded: true });
  const url = template.replace("{z}", "${z}").replace("{x}", "${x}").replace("{y}", "${y}");
  return lines(
    `<GDAL_WMS>`,
    `  <Service name="TMS"><ServerUrl>${escaped(url)}</ServerUrl></Service>`,
    `  <DataWindow>`,
    `    <UpperLeftX>-${MERCATOR_M}</UpperLeftX><UpperLeftY>${MERCATOR_M}</UpperLeftY>`,
    `    <LowerRightX>${MERCATOR_M}</LowerRightX><LowerRightY>-${MERCATOR_M}</LowerRightY>`,
    `    <TileLevel>${subject.maxzoom}</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY>`,
    `    <YOrigin>top</YOrigin>`,
    `  </DataWindow>`,
    `  <Projection>EPSG:3857</Projection>`,
    `  <BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>`,
    `  <BandsCount>4</BandsCount>`,
    `</GDAL_WMS>`,
  );
}
