export type * from "./contract.ts";
export { createImageService, type ImageServiceOptions } from "./image-service.ts";
