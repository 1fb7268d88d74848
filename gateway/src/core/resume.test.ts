import { createHmac } from "node:crypto";
import { type DeviceId, limits, type UserId } from "@pushfleet/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatResume, parseResume, type ResumeKeys } from "./resume.js";

const nowMs = 1_700_000_000_000;
let macs = 0;
const keys: ResumeKeys = {
  mac: (text) => {
    macs += 1;
    return createHmac("sha256", "key").update(text).digest("base64url");
  },
  sameText: (a, b) => a === b,
};
const id = fc.stringMatching(/^[A-Za-z0-9._:@-]{1,128}$/);

test("what was formatted is valid for its user and device until it expires", () => {
  fc.assert(
    fc.property(id, id, fc.nat(limits.resumeLifetimeMs * 2), (user, device, laterMs) => {
      const text = formatResume(user as UserId, device as DeviceId, nowMs, keys);
      const resume = parseResume(text, nowMs + laterMs, keys);
      if (laterMs < limits.resumeLifetimeMs) expect(resume).toMatchObject({ kind: "valid", user, device });
      else expect(resume).toEqual({ kind: "invalid" });
      expect(encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%40", "@")).toBe(text);
    }),
  );
});

test("altered anywhere it is invalid", () => {
  const text = formatResume("usr_42" as UserId, "phone" as DeviceId, nowMs, keys);
  const other = fc.constantFrom(..."aZ09~._-:@ é", "");
  fc.assert(
    fc.property(fc.nat(text.length - 1), other, (at, unit) => {
      const altered = text.slice(0, at) + unit + text.slice(at + 1);
      fc.pre(altered !== text);
      expect(parseResume(altered, nowMs, keys)).toEqual({ kind: "invalid" });
    }),
  );
});

test("any other text is invalid, and one of another shape costs no HMAC", () => {
  fc.assert(fc.property(fc.string(), (text) => void expect(parseResume(text, nowMs, keys)).toEqual({ kind: "invalid" })));
  macs = 0;
  for (const text of ["", "r1", "r2~a~u~d~".padEnd(52, "x"), "r1~zzzzzzzz~u~d~short", `r1~1~u~d~${"x".repeat(43)}`, "~".repeat(1e6)])
    parseResume(text, nowMs, keys);
  expect(macs).toBe(0);
});

test("an expiry cannot be moved between fields", () => {
  const text = formatResume("a" as UserId, "b" as DeviceId, nowMs, keys);
  const [version, expiry, user, device, mac] = text.split("~");
  expect(parseResume([version, expiry, device, user, mac].join("~"), nowMs, keys).kind).toBe("invalid");
  expect(parseResume([version, "zzzzzzzz", user, device, mac].join("~"), nowMs, keys).kind).toBe("invalid");
});
