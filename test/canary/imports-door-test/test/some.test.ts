import { nameOf } from "../src/base/name.ts";

nameOf("x");
