// A pad to draw on: light strokes on black, as the training images are; mouse, finger and pen alike.

const WIDTH = 0.075; // of a stroke, in sides of the pad: a felt pen's in MNIST
const PIXELS = 0.85; // of a stroke, in pixels of the network's image: a thinner one would fade

/**
 * Make a canvas drawable. `changed(count, ended)` is told how many strokes there are when one begins, and with `ended`
 * when the pen was lifted or something was taken back. `side` is that of the network's image in pixels.
 */
export function pad(canvas, side, changed) {
  const width = canvas.width * Math.max(WIDTH, PIXELS / side);
  const context = canvas.getContext("2d");
  let strokes = [], pen = null;

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  }

  function redraw() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const stroke of strokes) ink(stroke);
  }

  function ink(points) {
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = width;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const [first, ...rest] = points;
    if (!rest.length) {
      context.arc(first[0], first[1], width / 2, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    context.moveTo(...first);
    for (let n = 0; n < rest.length - 1; n++) {
      const [x, y] = rest[n], [nextX, nextY] = rest[n + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...rest.at(-1));
    context.stroke();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pen !== null || event.button !== 0) return;
    event.preventDefault();
    pen = event.pointerId;
    canvas.setPointerCapture(pen);
    strokes.push([place(event)]);
    redraw();
    changed(strokes.length, false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pen) return;
    const all = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(all.length ? all : [event]).map(place));
    redraw();
  });
  const lift = (event) => {
    if (event.pointerId !== pen) return;
    pen = null;
    changed(strokes.length, true);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  redraw();

  return {
    undo() {
      strokes.pop();
      redraw();
      changed(strokes.length, true);
    },
    clear() {
      strokes = [];
      redraw();
      changed(0, true);
    },
    image: () => new Promise((done) => canvas.toBlob(done, "image/png")),
  };
}
