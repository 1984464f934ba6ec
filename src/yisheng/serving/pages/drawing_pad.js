// A pad to draw on with mouse, finger or pen: light strokes on black, as in the training images.

const STROKE_WIDTH = 0.075; // in sides of the pad: like a pen in MNIST
const MIN_STROKE_PIXELS = 0.85; // in pixels of the network's image: a thinner stroke would fade

/**
 * Make a canvas drawable. `onChange(strokeCount, isFinished)` is called when a stroke begins, and with `isFinished` when
 * the pen is lifted or a stroke is removed. `side` is that of the network's image in pixels.
 */
export function drawingPad(canvas, side, onChange) {
  const width = canvas.width * Math.max(STROKE_WIDTH, MIN_STROKE_PIXELS / side);
  const context = canvas.getContext("2d");
  let strokes = [], pointer = null;

  function toCanvas(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  }

  function redraw() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const stroke of strokes) drawStroke(stroke);
  }

  function drawStroke(points) {
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = width;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const [start, ...next] = points;
    if (!next.length) {
      context.arc(start[0], start[1], width / 2, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    context.moveTo(...start);
    for (let n = 0; n < next.length - 1; n++) {
      const [x, y] = next[n], [nextX, nextY] = next[n + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...next.at(-1));
    context.stroke();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    strokes.push([toCanvas(event)]);
    redraw();
    onChange(strokes.length, false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(events.length ? events : [event]).map(toCanvas));
    redraw();
  });
  const endStroke = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    onChange(strokes.length, true);
  };
  canvas.addEventListener("pointerup", endStroke);
  canvas.addEventListener("pointercancel", endStroke);
  redraw();

  return {
    undo() {
      strokes.pop();
      redraw();
      onChange(strokes.length, true);
    },
    clear() {
      strokes = [];
      redraw();
      onChange(0, true);
    },
    toPng: () => new Promise((resolve) => canvas.toBlob(resolve, "image/png")),
  };
}
