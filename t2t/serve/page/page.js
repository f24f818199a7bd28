// Talks to /v1/realtime by voice, and to /v1/chat/completions in writing, with pictures
// and clips.
import { Speech, encode, listen } from "./sound.js";

const RATE = 16000; // of voice, both ways; written answers are spoken at 24 kHz
const AGAIN = 2000; // ms until the server is looked for once more
const SHORT = 0.2; // seconds: a press that nothing is said in
const HOLD = "hold the button for as long as you talk";
const LARGEST = 16e6; // bytes of a file that servers take
const at = (id) => document.getElementById(id);
const page = { key: "", socket: null, timer: 0, answer: null, asking: null, file: null,
  held: false, recording: false, said: 0, started: 0, ended: 0 };

function say(state, is = "waiting") {
  at("state").textContent = state;
  at("state").dataset.is = is;
}

function bubble(who, text) {
  at("greeting").hidden = true;
  const made = document.createElement("p");
  made.className = who;
  if (who === "error") made.role = "alert";
  if (text) made.append(text);
  at("talk").append(made);
  made.scrollIntoView();
  return made;
}

function show(where, kind, url, name = "") {
  const made = document.createElement({ image: "img", audio: "audio", video: "video" }[kind]);
  made.src = url;
  if (kind === "image") made.alt = name;
  else made.controls = true;
  made.onload = made.onloadedmetadata = () => where.scrollIntoView({ block: "nearest" });
  where.append(made);
}

// -- an answer -----------------------------------------------------------------------

// One that begins; `ended` is when its question did.
function begin(rate, ended, item = null) {
  const made = bubble("assistant waiting", "");
  page.answer = { bubble: made, speech: new Speech(rate), ended, item, timed: false };
  at("stop").disabled = false;
  return page.answer;
}

function write(answer, text) {
  if (!text || answer.speech.stopped) return;
  answer.bubble.classList.remove("waiting");
  answer.bubble.append(text);
  answer.bubble.scrollIntoView({ block: "nearest" });
}

function sound(answer, data) {
  const delay = answer.speech.play(data);
  if (delay === null || answer.timed) return;
  answer.timed = true;
  at("first").textContent = `first sound after ${Math.round(performance.now() - answer.ended + delay)} ms`;
}

// It is whole, or is not wanted any more.
function finish(answer, note = "") {
  if (!answer || answer.finished) return;
  answer.finished = true;
  answer.bubble.classList.remove("waiting");
  if (answer.speech.pieces.length) show(answer.bubble, "audio", URL.createObjectURL(answer.speech.file()));
  if (note || !answer.bubble.hasChildNodes()) {
    const made = document.createElement("span");
    made.className = "note";
    made.textContent = note || "(nothing)";
    answer.bubble.append(made);
  }
  if (!answer.speech.left) at("stop").disabled = true;
  else setTimeout(() => { if (page.answer === answer) at("stop").disabled = true; }, 1000 * answer.speech.left);
}

// Whatever is heard or being written stops; the server is told how much was heard.
function hush() {
  for (const player of document.querySelectorAll("main audio, main video")) player.pause();
  const answer = page.answer;
  if (!answer || (answer.finished && !answer.speech.left)) return;
  const heard = Math.round(1000 * answer.speech.stop());
  if (page.asking) page.asking.abort();
  if (answer.item) send({ type: "conversation.item.truncate", item_id: answer.item, content_index: 0, audio_end_ms: heard });
  finish(answer, "(interrupted)");
  at("stop").disabled = true;
}

// -- the server ----------------------------------------------------------------------

function later() {
  clearTimeout(page.timer);
  page.timer = setTimeout(look, AGAIN);
}

function headers(more = {}) {
  return page.key ? { ...more, authorization: `Bearer ${page.key}` } : more;
}

async function look() {
  const found = await fetch("v1/models", { headers: headers() }).catch(() => null);
  at("unlock").hidden = found === null || found.status !== 401;
  if (!at("unlock").hidden) return say(page.key ? "the key is wrong" : "a key is needed", "bad");
  if (!found || !found.ok) {
    at("send").disabled = true;
    say("the server does not answer, trying again", "bad");
    return later();
  }
  const model = (await found.json()).data[0];
  at("model").textContent = document.title = model.id;
  if (!model.modalities) { say("the model is being loaded"); return later(); }
  at("send").disabled = false;
  offer(model.modalities);
  if (model.modalities.includes("audio")) connect();
  else say("connected; it answers in writing", "good");
}

// Only answers that this model gives can be chosen.
function offer(modalities) {
  for (const option of at("answer").options) option.disabled = !modalities.includes(option.value);
  if (at("answer").selectedOptions[0].disabled) at("answer").value = "text";
  at("voice").disabled = !modalities.includes("audio");
}

function connect() {
  const protocols = page.key ? ["realtime", `openai-insecure-api-key.${page.key}`] : ["realtime"];
  const url = new URL("v1/realtime", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = page.socket = new WebSocket(url, protocols);
  socket.onopen = () => { say("connected", "good"); settings(); };
  socket.onclose = () => {
    say("connected for writing only, trying again for voice");
    page.socket = null;
    up();
    if (page.answer && page.answer.item) finish(page.answer, "(the connection was lost)");
    ready();
    later();
  };
  socket.onmessage = (message) => take(JSON.parse(message.data));
}

function connected() { return page.socket !== null && page.socket.readyState === WebSocket.OPEN; }

function send(event) { if (connected()) page.socket.send(JSON.stringify(event)); }

// What can be pressed: drawings are asked for in writing.
function ready() {
  const voice = connected() && at("answer").value !== "image";
  at("free").disabled = !voice;
  at("hold").disabled = !voice || at("free").checked;
}

function settings() {
  const format = { type: "audio/pcm", rate: RATE };
  send({ type: "session.update", session: { type: "realtime",
    output_modalities: [at("answer").value === "text" ? "text" : "audio"],
    audio: { input: { format, turn_detection: at("free").checked ? { type: "server_vad" } : null },
      output: { format, voice: at("voice").value } } } });
  ready();
}

function take(event) {
  const answer = page.answer;
  switch (event.type) {
    case "input_audio_buffer.speech_started":
      hush();
      page.started = event.audio_start_ms;
      break;
    case "input_audio_buffer.speech_stopped":
      page.ended = performance.now();
      bubble("user", `♪ ${((event.audio_end_ms - page.started) / 1000).toFixed(1)} s`);
      break;
    case "response.output_item.added": begin(RATE, page.ended, event.item.id); break;
    case "response.output_audio.delta": if (answer.item === event.item_id) sound(answer, event.delta); break;
    case "response.output_audio_transcript.delta":
    case "response.output_text.delta": if (answer.item === event.item_id) write(answer, event.delta); break;
    case "response.done": if (answer && event.response.output.some((item) => item.id === answer.item)) finish(answer); break;
    case "error": bubble("error", event.error.message); break;
  }
}

// -- by voice ------------------------------------------------------------------------

function heard(samples) {
  const taken = page.recording || at("free").checked;
  at("level").value = taken ? Math.max(...samples.map(Math.abs)) : 0;
  if (!taken) return;
  page.said += samples.length / RATE;
  send({ type: "input_audio_buffer.append", audio: encode(samples) });
}

async function down() {
  if (page.held || at("hold").disabled) return;
  page.held = true;
  try { await listen(RATE, heard); } catch (error) { page.held = false; return bubble("error", error.message); }
  if (!page.held) return bubble("error", HOLD); // let go before the microphone was there
  hush();
  send({ type: "input_audio_buffer.clear" });
  page.said = 0;
  page.recording = true;
  at("hold").classList.add("down");
  at("hold").textContent = "listening";
}

function up() {
  page.held = false;
  if (!page.recording) return;
  page.recording = false;
  at("level").value = 0;
  at("hold").classList.remove("down");
  at("hold").textContent = "hold to talk";
  if (page.said < SHORT) {
    send({ type: "input_audio_buffer.clear" });
    return bubble("error", HOLD);
  }
  page.ended = performance.now();
  bubble("user", `♪ ${page.said.toFixed(1)} s`);
  send({ type: "input_audio_buffer.commit" });
  send({ type: "response.create" });
}

async function free() {
  if (at("free").checked) {
    try { await listen(RATE, heard); } catch (error) { at("free").checked = false; bubble("error", error.message); }
  }
  at("level").value = 0;
  send({ type: "input_audio_buffer.clear" });
  settings();
}

// -- in writing ----------------------------------------------------------------------

const kindOf = (file) => ["image", "audio", "video"].find((kind) => file.type.startsWith(`${kind}/`));

function attach(file) {
  if (file && !kindOf(file)) { bubble("error", `${file.name} is no picture, sound or film`); file = null; }
  if (file && file.size > LARGEST) { bubble("error", `${file.name} is larger than ${LARGEST / 1e6} MB`); file = null; }
  page.file = file;
  at("attached").hidden = !file;
  at("name").textContent = file ? file.name : "";
  at("file").value = "";
  if (file) at("words").focus();
}

function urlOf(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

async function ask(words, file) {
  const shown = bubble("user", words);
  const content = words ? [{ type: "text", text: words }] : [];
  if (file) {
    const kind = kindOf(file), name = `${kind}_url`;
    show(shown, kind, URL.createObjectURL(file), file.name);
    content.push({ type: name, [name]: { url: await urlOf(file) } });
  }
  const modalities = { audio: ["text", "audio"], text: ["text"], image: ["image"] }[at("answer").value];
  const body = { messages: [{ role: "user", content }], modalities, stream: true,
    audio: { voice: at("voice").value, format: "pcm16" } };
  const answer = begin(24000, performance.now());
  const asking = page.asking = new AbortController();
  try {
    const response = await fetch("v1/chat/completions", { method: "POST", body: JSON.stringify(body),
      headers: headers({ "content-type": "application/json" }), signal: asking.signal })
      .catch((error) => { throw asking.signal.aborted ? error : new Error("the server does not answer"); });
    if (!response.ok) throw new Error(reason((await response.json()).error));
    for await (const chunk of chunks(response)) tell(answer, chunk);
    finish(answer);
  } catch (error) {
    if (asking.signal.aborted) return;
    finish(answer);
    if (!answer.speech.pieces.length && answer.bubble.textContent === "(nothing)") answer.bubble.remove();
    bubble("error", error.message);
    if (!at("words").value) at("words").value = words;
  } finally {
    if (page.asking === asking) page.asking = null;
  }
}

// Of an error, without the place in the request, which nobody here has written.
function reason({ message, param }) {
  return param && message.startsWith(`${param}: `) ? message.slice(param.length + 2) : message;
}

// Of a response, as they come.
async function* chunks(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const events = (rest + read.value).split("\n\n");
    rest = events.pop();
    for (const event of events) if (event !== "data: [DONE]") yield JSON.parse(event.slice("data: ".length));
  }
}

function tell(answer, chunk) {
  if (chunk.error) throw new Error(reason(chunk.error));
  for (const { delta } of chunk.choices) {
    if (delta.audio && delta.audio.data) sound(answer, delta.audio.data);
    if (typeof delta.content === "string") write(answer, delta.content);
    for (const part of Array.isArray(delta.content) ? delta.content : []) {
      answer.bubble.classList.remove("waiting");
      show(answer.bubble, "image", part.image_url.url);
    }
  }
}

// -- what is pressed -----------------------------------------------------------------

const pressed = (event) => event.key === " " || event.key === "Enter";
at("hold").addEventListener("pointerdown", down);
at("hold").addEventListener("keydown", (event) => { if (pressed(event)) { event.preventDefault(); down(); } });
at("hold").addEventListener("keyup", (event) => { if (pressed(event)) { event.preventDefault(); up(); } });
for (const name of ["pointerup", "pointercancel", "blur"]) addEventListener(name, up);
at("free").addEventListener("change", free);
at("stop").addEventListener("click", hush);
at("voice").addEventListener("change", settings);
at("answer").addEventListener("change", settings);
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words").value.trim(), file = page.file;
  if ((!words && !file) || at("send").disabled) return;
  hush();
  at("words").value = "";
  attach(null);
  ask(words, file);
});
at("file").addEventListener("change", () => attach(at("file").files[0] || null));
at("remove").addEventListener("click", () => attach(null));
addEventListener("dragover", (event) => { event.preventDefault(); at("talk").classList.add("over"); });
addEventListener("dragleave", () => at("talk").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("talk").classList.remove("over");
  attach(event.dataTransfer.files[0] || null);
});
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  page.key = at("key").value;
  look();
});
look();
