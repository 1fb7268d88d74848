import { expect, test } from "vitest";
import { exampleConfig } from "../example-gateway.test-suite.js";
import { HandshakeBucket } from "./token-bucket.js";

test("by default a server establishes at most 5,000 connections a second, however many come", () => {
  const { handshakesPerSecond } = exampleConfig().limits;
  const bucket = new HandshakeBucket({ perSecond: handshakesPerSecond, burst: handshakesPerSecond }, 0);
  const admittedIn = (second: number): number => {
    let admitted = 0;
    for (let attempt = 0; attempt < 20_000; attempt += 1) {
      if (bucket.admit(false, second * 1000 + attempt / 20, 0.5).kind === "admitted") admitted += 1;
    }
    return admitted;
  };
  admittedIn(0); // what was saved up while nobody came
  for (const second of [1, 2, 3, 4]) expect(admittedIn(second)).toBe(5_000);
});
