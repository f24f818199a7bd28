// The microphone, and the sound of answers. PCM16, each at the rate that it comes in:
// so nothing is resampled on its way.

const contexts = {};
let microphone = null;

function contextOf(rate) {
  const found = contexts[rate] ||= new AudioContext({ sampleRate: rate });
  found.resume();
  return found;
}

// From now on `heard` is called with every 20 ms that the microphone hears, float32.
export function listen(rate, heard) {
  microphone ||= open(rate, heard).catch((error) => { microphone = null; throw new Error(why(error)); });
  return microphone;
}

async function open(rate, heard) {
  if (!navigator.mediaDevices) throw new Error("browsers give it to https: and to this machine's own pages only");
  const media = await navigator.mediaDevices.getUserMedia(
    { audio: { echoCancellation: true, noiseSuppression: true, channelCount: 1 } });
  const context = contextOf(rate);
  await context.audioWorklet.addModule("recorder.js");
  const recorder = new AudioWorkletNode(context, "recorder");
  recorder.port.onmessage = ({ data }) => heard(data);
  context.createMediaStreamSource(media).connect(recorder);
}

function why(error) {
  if (error.name === "NotAllowedError") return "no microphone: allow it for this page in the browser, then try again";
  if (error.name === "NotFoundError") return "no microphone: none is connected";
  return `no microphone: ${error.message}`;
}

export function encode(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((x, i) => view.setInt16(2 * i, Math.max(-1, Math.min(1, x)) * 32767, true));
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
}

// What is heard of one answer: its pieces are queued as they come, and kept.
export class Speech {
  constructor(rate) {
    this.rate = rate;
    this.pieces = [];
    this.sources = [];
    this.begin = this.end = 0; // on the context's clock
    this.stopped = false;
  }

  // Queues base64 of PCM16; gives the milliseconds until it is heard, null for nothing.
  play(data) {
    const levels = new Int16Array(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
    if (!levels.length || this.stopped) return null;
    this.pieces.push(levels);
    const context = contextOf(this.rate);
    const buffer = context.createBuffer(1, levels.length, this.rate);
    buffer.getChannelData(0).set(Float32Array.from(levels, (x) => x / 32768));
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    const start = Math.max(this.end, context.currentTime + 0.02);
    this.begin ||= start;
    source.start(start);
    this.end = start + buffer.duration;
    this.sources.push(source);
    return 1000 * (start - context.currentTime + (context.outputLatency || 0));
  }

  // Seconds until all that has come was heard.
  get left() { return Math.max(0, this.end - contextOf(this.rate).currentTime); }

  // No more of it; gives the seconds that were heard.
  stop() {
    const heard = Math.max(0, this.end - this.begin - this.left);
    for (const source of this.sources.splice(0)) source.stop();
    this.stopped = true;
    this.end = 0;
    return heard;
  }

  // All of it as a WAV, for a player.
  file() {
    const size = 2 * this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    const head = new DataView(new ArrayBuffer(44));
    const names = [[0, "RIFF"], [8, "WAVEfmt "], [36, "data"]];
    for (const [place, name] of names) [...name].forEach((c, i) => head.setUint8(place + i, c.charCodeAt(0)));
    const numbers = [[4, 36 + size], [16, 16], [24, this.rate], [28, 2 * this.rate], [40, size]];
    for (const [place, number] of numbers) head.setUint32(place, number, true);
    const halves = [[20, 1], [22, 1], [32, 2], [34, 16]];
    for (const [place, number] of halves) head.setUint16(place, number, true);
    return new Blob([head, ...this.pieces], { type: "audio/wav" });
  }
}
