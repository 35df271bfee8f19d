import { randomInt } from "node:crypto";
import { NaruError } from "../base/mod.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** The name without its slash. Throws invalid_argument in Docker's words. */
export function parseContainerName(text: string): string {
  const name = text.startsWith("/") ? text.slice(1) : text;
  if (!NAME.test(name)) {
    throw new NaruError(
      "invalid_argument",
      `Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  return name;
}

const MOODS: readonly string[] =
  "able airy amber ample apt arctic azure balmy bold brave breezy bright brisk calm candid cheery clear clever coral cosy crisp curious daring deft eager early earnest easy fair fleet fond frank fresh gentle glad golden good grand green happy hardy hazel honest humble ideal jolly keen kind light lively loyal lucid lucky mellow merry mild modest neat nimble noble open patient placid plucky polite proud quick quiet rapid ready royal rustic sage sandy serene sharp silent silver simple smart snug solid spry stable steady still stout sunny sure swift tidal tidy tranquil true upbeat vivid warm wavy wise witty young zesty".split(
    " ",
  );

/** Rivers, lakes and straits where boats land; Korean ones first among them. */
const WATERS: readonly string[] =
  "han nakdong geum yeongsan seomjin imjin bukhan namhan soyang hongcheon dong amnok duman daedong tamjin mangyeong hwangnyong gyeongho nam miho gapcheon tancheon jungnang amazon amur ebro elbe euphrates danube dnieper don douro dvina fraser ganges garonne huron indus irrawaddy kama kolyma kura ladoga lena loire mackenzie madeira mekong meuse murray neva niger nile ob oder ohio onega orinoco parana po rhine rhone saone sava seine severn shannon tagus tana thames tiber tigris tisza ural vaal vistula volga volta weser xingu yangtze yenisei yukon zambezi biwa baikal como garda victoria tahoe titicaca".split(
    " ",
  );

/** A name that is free, like `calm_nakdong`; with a number once many are taken. */
export function randomName(isTaken: (name: string) => boolean): string {
  for (let tries = 0; ; tries += 1) {
    const base = `${pick(MOODS)}_${pick(WATERS)}`;
    const name = tries < 6 ? base : `${base}${randomInt(10 ** Math.min(tries - 4, 9))}`;
    if (!isTaken(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] as string;
}
