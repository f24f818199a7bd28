// In the browser's audio thread: what the microphone hears, 20 ms at a time.
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(Math.round(sampleRate / 50));
    this.count = 0;
  }
  process(inputs) {
    for (const sample of inputs[0][0] || []) {
      this.block[this.count++] = sample;
      if (this.count === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.count = 0;
      }
    }
    return true;
  }
}
registerProcessor("recorder", Recorder);
