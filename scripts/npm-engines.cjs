// Read by npm ci on an old Node (Debian 12 has 18). npm leaves out an optional package, such as the
// native part of a linter, when the Node that runs npm is too old for it, and says nothing. Here
// all tools run on Bun, so the Node that npm runs on does not matter.
"use strict";
if (Number(process.versions.node.split(".")[0]) < 24) {
  Object.defineProperty(process, "version", { value: "v24.0.0" });
}
