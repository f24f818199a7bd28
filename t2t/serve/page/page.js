// Talks to /v1/realtime by voice, and to /v1/chat/completions with pictures and clips.
// Sound is PCM16 at 16 kHz both ways: so nothing is resampled on its way.
"use strict";

const RATE = 16000;
const at = (id) => document.getElementById(id);
const page = { model: "", key: "", socket: null, context: null, next: 0, item: null, began: 0,
  playing: [], ended: 0, told: null, recording: false, dropped: null };

function say(state) { at("state").textContent = state; }

function bubble(who, text) {
  const made = document.createElement("p");
  made.className = who;
  made.append(text);
  at("talk").append(made);
  made.scrollIntoView();
  return made;
}

// -- the session ---------------------------------------------------------------------

async function begin() {
  const headers = page.key ? { authorization: `Bearer ${page.key}` } : {};
  const found = await fetch("v1/models", { headers }).catch(() => null);
  if (found && found.status === 401) {
    at("unlock").hidden = false;
    return say("a key is needed");
  }
  if (!found || !found.ok) { say("not there"); return setTimeout(begin, 2000); }
  const model = (await found.json()).data[0];
  page.model = model.id;
  at("model").textContent = model.id;
  if (!model.modalities) { say("is being loaded"); return setTimeout(begin, 2000); }
  at("unlock").hidden = true;
  if (!model.modalities.includes("audio")) {
    at("answer").value = "text";
    return say("answers in text");
  }
  connect();
}

function connect() {
  const protocols = page.key ? ["realtime", `openai-insecure-api-key.${page.key}`] : ["realtime"];
  const url = new URL("v1/realtime", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = page.socket = new WebSocket(url, protocols);
  socket.onopen = () => { say("connected"); settings(); at("hold").disabled = at("free").disabled = false; };
  socket.onclose = () => {
    say("not connected");
    at("hold").disabled = at("free").disabled = true;
    setTimeout(begin, 2000);
  };
  socket.onmessage = (message) => take(JSON.parse(message.data));
}

function send(event) {
  if (page.socket && page.socket.readyState === WebSocket.OPEN) page.socket.send(JSON.stringify(event));
}

function settings() {
  const format = { type: "audio/pcm", rate: RATE };
  send({ type: "session.update", session: { type: "realtime",
    output_modalities: [at("answer").value === "text" ? "text" : "audio"],
    audio: { input: { format, turn_detection: at("free").checked ? { type: "server_vad" } : null },
      output: { format, voice: at("voice").value } } } });
}

function take(event) {
  switch (event.type) {
    case "input_audio_buffer.speech_started": hush(); break;
    case "input_audio_buffer.speech_stopped": page.ended = performance.now(); break;
    case "input_audio_buffer.committed": bubble("user", "♪"); break;
    case "response.created": page.told = null; page.began = 0; break;
    case "response.output_audio.delta": page.item = event.item_id; play(event.delta); break;
    case "response.output_audio_transcript.delta":
    case "response.output_text.delta":
      page.told = page.told || bubble("assistant", "");
      page.told.append(event.delta);
      break;
    case "error": bubble("error", event.error.message); break;
  }
}

// -- hearing and being heard ---------------------------------------------------------

async function listen() {
  if (page.context) return page.context.resume();
  page.context = new AudioContext({ sampleRate: RATE });
  await page.context.audioWorklet.addModule("recorder.js");
  const media = await navigator.mediaDevices.getUserMedia(
    { audio: { echoCancellation: true, noiseSuppression: true, channelCount: 1 } });
  const recorder = new AudioWorkletNode(page.context, "recorder");
  recorder.port.onmessage = ({ data }) => {
    if (page.recording || at("free").checked) send({ type: "input_audio_buffer.append", audio: encode(data) });
  };
  page.context.createMediaStreamSource(media).connect(recorder);
}

function encode(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((x, i) => view.setInt16(2 * i, Math.max(-1, Math.min(1, x)) * 32767, true));
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
}

function play(data) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const levels = new Int16Array(bytes.buffer);
  if (!levels.length) return;
  page.context = page.context || new AudioContext({ sampleRate: RATE });
  const buffer = page.context.createBuffer(1, levels.length, RATE);
  buffer.getChannelData(0).set(Float32Array.from(levels, (x) => x / 32768));
  const source = page.context.createBufferSource();
  source.buffer = buffer;
  source.connect(page.context.destination);
  page.next = Math.max(page.next, page.context.currentTime + 0.02);
  if (!page.began) {
    page.began = page.next;
    if (page.ended) at("first").textContent = `first sound after ${Math.round(performance.now() - page.ended)} ms`;
  }
  source.start(page.next);
  page.next += buffer.duration;
  page.playing.push(source);
}

// Stops the answer that is heard, and tells how much of it was.
function hush() {
  if (!page.context || !page.item || page.context.currentTime >= page.next) return;
  const heard = Math.max(0, page.context.currentTime - page.began);
  for (const source of page.playing.splice(0)) { try { source.stop(); } catch { /* it has ended */ } }
  page.next = 0;
  send({ type: "conversation.item.truncate", item_id: page.item, content_index: 0,
    audio_end_ms: Math.round(1000 * heard) });
  page.item = null;
}

async function down(event) {
  event.preventDefault();
  if (page.recording || at("hold").disabled) return;
  try { await listen(); } catch (error) { return bubble("error", `no microphone: ${error.message}`); }
  hush();
  send({ type: "input_audio_buffer.clear" });
  page.recording = true;
  at("hold").classList.add("down");
}

function up() {
  if (!page.recording) return;
  page.recording = false;
  at("hold").classList.remove("down");
  page.ended = performance.now();
  send({ type: "input_audio_buffer.commit" });
  send({ type: "response.create" });
}

// -- words, pictures and clips -------------------------------------------------------

async function ask(words, file) {
  const content = words ? [{ type: "text", text: words }] : [];
  const shown = bubble("user", words);
  if (file) {
    const url = await new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = failed;
      reader.readAsDataURL(file);
    });
    const kind = file.type.split("/")[0];
    const name = { image: "image_url", audio: "audio_url", video: "video_url" }[kind];
    if (!name) return bubble("error", `${file.name} is no picture, sound or film`);
    content.push({ type: name, [name]: { url } });
    show(shown, kind, url);
  }
  const wants = { audio: ["text", "audio"], text: ["text"], image: ["image"] }[at("answer").value];
  const headers = { "content-type": "application/json" };
  if (page.key) headers.authorization = `Bearer ${page.key}`;
  const began = performance.now();
  const body = JSON.stringify({ messages: [{ role: "user", content }], modalities: wants,
    audio: { voice: at("voice").value, format: "wav" } });
  const answer = await fetch("v1/chat/completions", { method: "POST", headers, body });
  const found = await answer.json();
  if (!answer.ok) return bubble("error", found.error.message);
  present(found.choices[0].message, began);
}

function present(message, began) {
  const parts = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
  const made = bubble("assistant", "");
  for (const part of parts) {
    if (part.type === "text") made.append(part.text);
    else show(made, "image", part.image_url.url);
  }
  if (!message.audio) return;
  const heard = show(made, "audio", `data:audio/wav;base64,${message.audio.data}`);
  heard.onplaying = () => {
    at("first").textContent = `first sound after ${Math.round(performance.now() - began)} ms`;
    heard.onplaying = null;
  };
  heard.play().catch(() => { /* the browser wants a click first */ });
}

function show(where, kind, url) {
  const made = document.createElement({ image: "img", audio: "audio", video: "video" }[kind]);
  made.src = url;
  if (kind !== "image") made.controls = true;
  where.append(made);
  where.scrollIntoView();
  return made;
}

// -- what is pressed -----------------------------------------------------------------

at("hold").addEventListener("pointerdown", down);
addEventListener("pointerup", up);
addEventListener("blur", up);
at("free").addEventListener("change", async () => {
  try { await listen(); } catch (error) { at("free").checked = false; bubble("error", `no microphone: ${error.message}`); }
  settings();
});
at("voice").addEventListener("change", settings);
at("answer").addEventListener("change", settings);
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words").value.trim();
  if (!words && !page.dropped) return;
  ask(words, page.dropped).catch((error) => bubble("error", error.message));
  at("words").value = at("file").value = "";
  page.dropped = null;
});
at("file").addEventListener("change", () => { page.dropped = at("file").files[0] || null; });
addEventListener("dragover", (event) => { event.preventDefault(); at("talk").classList.add("over"); });
addEventListener("dragleave", () => at("talk").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("talk").classList.remove("over");
  page.dropped = event.dataTransfer.files[0] || null;
  if (page.dropped) at("words").placeholder = `${page.dropped.name}: write a question and send`;
});
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  page.key = at("key").value;
  begin();
});
begin();
