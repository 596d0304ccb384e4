// A receiver with Express. HOOK_SECRET answers challenges and verifies events; during a rotation,
// HOOK_SECRET_OLD verifies them, too.
const { createHash, createHmac, timingSafeEqual } = require("node:crypto");
const express = require("express");

const PREFIX = "preservica-webhook-auth";
const KEEP = 10_000; // events that are remembered; a store that processes share keeps them for good

function readSecrets(environ) {
  const secrets = ["HOOK_SECRET", "HOOK_SECRET_OLD"]
    .map((name) => ({ name, key: environ[name] ?? "" }))
    .filter(({ name, key }) => key || name === "HOOK_SECRET");
  for (const { name, key } of secrets) {
    if (!key) throw new Error(`${name} is not set`);
    if (key.length < 16 || /[\r\n]$/.test(key)) throw new Error(`${name} is short, or ends with a line break`);
  }
  return secrets;
}

function sign(key, ...parts) {
  const hmac = createHmac("sha256", Buffer.from(key, "latin1"));
  parts.forEach((part) => hmac.update(part));
  return hmac.digest("hex");
}

// null: refuse the code with 400
function challengeResponse(key, code) {
  const isPlain = typeof code === "string" && /^[0-9A-Za-z][ -~]*$/.test(code);
  return isPlain && !code.startsWith(PREFIX) ? sign(key, code) : null;
}

const isSame = (right, given) => right.length === given.length && timingSafeEqual(right, given);

function findSigner(secrets, body, signature) {
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
    console.log(event.trigger, entity.entityType, entity.entityRef, JSON.stringify(entity.identifiers ?? []));
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

function readEvent(body) {
  try {
    const event = JSON.parse(body);
    return event !== null && typeof event === "object" && !Array.isArray(event) ? event : null;
  } catch {
    return null;
  }
}

function makeApp(secrets) {
  const app = express();
  // the raw bytes, whatever their type; the limit is 100 kB unless it is set
  app.post("/hook", express.raw({ type: () => true, limit: "10mb" }), async (request, response) => {
    const code = request.query.challengeCode;
    if (code) {
      const challengeCode = Array.isArray(code) ? code[0] : code;
      const signed = challengeResponse(secrets[0].key, challengeCode);
      return signed ? response.json({ challengeCode, challengeResponse: signed }) : response.sendStatus(400);
    }
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const signer = findSigner(secrets, body, request.get("Preservica-Signature") ?? "");
    if (!signer) {
      console.log("401 refused the signature is wrong");
      return response.sendStatus(401);
    }
    const event = readEvent(body);
    if (!event) return response.sendStatus(400);
    const status = await workOnce(event);
    console.log(status, status === 200 ? "event" : "busy", signer.name);
    if (status === 503) response.set("Retry-After", "30");
    return response.status(status).json({ success: status === 200 });
  });
  return app;
}

if (require.main === module) {
  const app = makeApp(readSecrets(process.env));
  const server = app.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
  server.headersTimeout = 10_000; // milliseconds
  server.requestTimeout = 30_000;
}

module.exports = { challengeResponse, findSigner, keyOf, makeApp };
