// `npm test` checks this receiver with the test vectors that all examples share.
const assert = require("node:assert");
const { test } = require("node:test");
const vectors = require("../vectors.json");
const { challengeResponse, findSigner, keyOf } = require("./app.js");

for (const { why, secret, code, response } of vectors.challenges) {
  test(`challenge: ${why}`, () => assert.strictEqual(challengeResponse(secret, code), response));
}

for (const { why, secrets, body, signature, is_genuine } of vectors.events) {
  test(`event: ${why}`, () => {
    const named = secrets.map((key, number) => ({ name: `${number}`, key }));
    assert.strictEqual(Boolean(findSigner(named, Buffer.from(body), signature)), is_genuine);
  });
}

test("the id of the subscription is not in the key of an event", () => {
  assert.strictEqual(keyOf({ subscriptionId: "a", trigger: "MOVED" }), keyOf({ trigger: "MOVED", subscriptionId: "b" }));
  assert.notStrictEqual(keyOf({ trigger: "MOVED" }), keyOf({ trigger: "INDEXED" }));
});
