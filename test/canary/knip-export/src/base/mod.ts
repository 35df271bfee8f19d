export { type Name, nameOf, nobodyCallsThis } from "./name.ts";
