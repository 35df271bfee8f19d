export type * from "./contract.ts";
export { IMAGE_CRASH_POINTS } from "./crash-point.ts";
export { createImageService } from "./image-service.ts";
