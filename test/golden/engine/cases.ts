/** Every case: what is recorded from dockerd is what is played against naru. */
import type { Case } from "./case.ts";
import { CONTAINER_CASES } from "./cases/containers.ts";
import { CREATE_CASES } from "./cases/create.ts";
import { EXEC_CASES } from "./cases/exec.ts";
import { IMAGE_CASES } from "./cases/images.ts";
import { LIFE_CASES } from "./cases/life.ts";
import { LIST_CASES } from "./cases/list.ts";
import { STREAM_CASES } from "./cases/streams.ts";
import { SYSTEM_CASES } from "./cases/system.ts";

export const CASES: readonly Case[] = [
  ...SYSTEM_CASES,
  ...IMAGE_CASES,
  ...CREATE_CASES,
  ...CONTAINER_CASES,
  ...LIST_CASES,
  ...STREAM_CASES,
  ...EXEC_CASES,
  ...LIFE_CASES,
];
