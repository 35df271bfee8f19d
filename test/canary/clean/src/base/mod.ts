export { type Name, nameOf } from "./name.ts";
