// A receiver with Express. HOOK_SECRET answers challenges and verifies events; during a rotation,
// HOOK_SECRET_OLD verifies them, too.
const { createHash, createHmac, timingSafeEqual } = require("node:crypto");
const express = require("express");

const PREFIX = "preservica-webhook-auth";
const KEEP = 10_000; // events that are remembered; a store that processes share keeps them for good

const secrets = ["HOOK_SECRET", "HOOK_SECRET_OLD"]
  .map((name) => ({ name, key: process.env[name] ?? "" }))
  .filter(({ name, key }) => key || name === "HOOK_SECRET");
for (const { name, key } of secrets) {
  if (!key) throw new Error(`${name} is not set`);
  if (key.length < 16 || /[\r\n]$/.test(key)) throw new Error(`${name} is short, or ends with a line break`);
}

const sign = (key, ...parts) => {
  const hmac = createHmac("sha256", Buffer.from(key, "latin1"));
  parts.forEach((part) => hmac.update(part));
  return hmac.digest("hex");
};

const isSame = (right, given) => right.length === given.length && timingSafeEqual(right, given);

function findSigner(body, signature) {
  const given = Buffer.from(signature.trim().toLowerCase());
  return secrets.filter(({ key }) => isSame(Buffer.from(sign(key, PREFIX, body)), given))[0];
}

// All but the subscription's id: while a subscription is replaced, the old and the new one deliver
function keyOf(event) {
  const fields = Object.entries(event).filter(([name]) => name !== "subscriptionId").sort();
  return createHash("sha256").update(JSON.stringify(fields)).digest("hex");
}

// Your code. Put long work into a queue. If this throws, the event is worked on again.
async function work(event) {
  for (const entity of event.events ?? []) {
    if (!entity.entityRef) throw new Error("there is no entityRef");
    console.log(event.trigger, entity.entityType, entity.entityRef);
  }
}

const events = new Map(); // by key: "busy" while work runs, "done" afterwards

async function workOnce(event) {
  const key = keyOf(event);
  if (events.has(key)) return events.get(key) === "busy" ? 503 : 200;
  events.set(key, "busy");
  try {
    await work(event);
  } catch (error) {
    events.delete(key);
    throw error;
  }
  events.set(key, "done");
  if (events.size > KEEP) events.delete(events.keys().next().value);
  return 200;
}

async function hook(request, response) {
  const code = request.query.challengeCode;
  if (code) {
    const isPlain = typeof code === "string" && /^[0-9A-Za-z][ -~]*$/.test(code);
    if (!isPlain || code.startsWith(PREFIX)) return response.sendStatus(400);
    return response.json({ challengeCode: code, challengeResponse: sign(secrets[0].key, code) });
  }
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const signer = findSigner(body, request.get("Preservica-Signature") ?? "");
  if (!signer) {
    console.log("401 refused the signature is wrong");
    return response.sendStatus(401);
  }
  const status = await workOnce(JSON.parse(body));
  console.log(status, status === 200 ? "event" : "busy", signer.name);
  if (status === 503) response.set("Retry-After", "30");
  return response.status(status).json({ success: status === 200 });
}

const app = express();
// the raw bytes, whatever their type; the limit is 100 kB unless it is set
app.post("/hook", express.raw({ type: () => true, limit: "10mb" }), hook);

const server = app.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
