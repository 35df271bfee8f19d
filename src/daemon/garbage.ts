import { errorMessage, MINUTE_MS } from "../base/mod.ts";
import type { ImageService } from "../images/mod.ts";
import type { Logger } from "../observe/mod.ts";

/** Removals free their own space at once; what is left is an image deleted under a container. */
const REGULAR_MS = 10 * MINUTE_MS;

/** Frees now and then what nothing refers to. The result stops it, after what it is doing. */
export function collectRegularly(images: ImageService, logger: Logger): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  const collect = async (): Promise<void> => {
    try {
      const freed = await images.collectGarbage();
      if (freed.blobs + freed.layers > 0) logger.info("freed what nothing refers to", { ...freed });
    } catch (error) {
      logger.warn(`garbage was not collected: ${errorMessage(error)}`, { error });
    }
  };
  const timer = setInterval(() => {
    running = running.then(collect);
  }, REGULAR_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
