import { expect, test } from "bun:test";
import { addressBytes, socketAddress } from "./socket-address.ts";

test("addresses as bytes, in every way that they may be written", () => {
  const hex = (text: string): string => Buffer.from(addressBytes(text)).toString("hex");
  expect(hex("127.0.0.1")).toBe("7f000001");
  expect(hex("::")).toBe("0".repeat(32));
  expect(hex("::1")).toBe(`${"0".repeat(31)}1`);
  expect(hex("fd00:1::a2")).toBe(`fd000001${"0".repeat(22)}a2`);
  expect(hex("1:2:3:4:5:6:7:8")).toBe("00010002000300040005000600070008");
  expect(hex("::ffff:10.0.0.1")).toBe(`${"0".repeat(20)}ffff0a000001`);
  expect(hex("fe80::")).toBe(`fe80${"0".repeat(28)}`);
  for (const bad of ["", "1.2.3", "fe80::1%eth0", "::g", "1:2"]) {
    expect(() => addressBytes(bad)).toThrow("inet_pton");
  }
});

test("socket addresses hold family and port in their own byte orders", () => {
  expect(socketAddress("1.2.3.4", 80).toString("hex")).toBe(
    `02000050${"01020304"}${"0".repeat(16)}`,
  );
  expect(socketAddress("::1", 0x1234).subarray(0, 4).toString("hex")).toBe("0a001234");
  expect(socketAddress("::1", 1).byteLength).toBe(28);
});
