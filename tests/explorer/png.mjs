// Makes a screenshot small enough to commit: 256 colours are plenty for text and lines. Filters off, for rows of
// indexes do not predict each other.

import { crc32, deflateSync, inflateSync } from "node:zlib";

function chunk(type, data) {
  const whole = Buffer.alloc(data.length + 12);
  whole.writeUInt32BE(data.length);
  whole.write(type, 4, "latin1");
  data.copy(whole, 8);
  whole.writeUInt32BE(crc32(whole.subarray(4, -4)), data.length + 8);
  return whole;
}

/** The pixels of a PNG of 8-bit RGB, as Chromium writes it. */
function pixels(png) {
  const width = png.readUInt32BE(16), height = png.readUInt32BE(20);
  const data = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") data.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(data));
  const row = width * 3;
  const out = Buffer.alloc(row * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)];
    for (let x = 0; x < row; x++) {
      const left = x < 3 ? 0 : out[y * row + x - 3];
      const up = y ? out[(y - 1) * row + x] : 0;
      const corner = x < 3 || !y ? 0 : out[(y - 1) * row + x - 3];
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      const paeth = a <= b && a <= c ? left : b <= c ? up : corner;
      out[y * row + x] = raw[y * (row + 1) + 1 + x] + [0, left, up, (left + up) >> 1, paeth][filter];
    }
  }
  return { width, height, out };
}

/** The same picture with the 256 colours that are used most; others become the nearest of them. */
export function small(png) {
  const { width, height, out } = pixels(png);
  const uses = new Map();
  for (let i = 0; i < out.length; i += 3) {
    const colour = out.readUIntBE(i, 3);
    uses.set(colour, (uses.get(colour) ?? 0) + 1);
  }
  const palette = [...uses].sort((a, b) => b[1] - a[1]).slice(0, 256).map(([colour]) => colour);
  const parts = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];
  const distance = (a, b) => parts(a).reduce((sum, part, i) => sum + (part - parts(b)[i]) ** 2, 0);
  const index = new Map([...uses.keys()].map((colour) => [colour, palette.reduce((best, one, i) => (distance(colour, one) < distance(colour, palette[best]) ? i : best), 0)]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let i = 0, to = 0; i < out.length; i += 3) {
    if (i % (width * 3) === 0) to++;
    rows[to++] = index.get(out.readUIntBE(i, 3));
  }
  const header = Buffer.from(png.subarray(16, 29));
  header[9] = 3;
  return Buffer.concat([
    png.subarray(0, 8),
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flatMap(parts))),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
