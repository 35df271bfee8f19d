export type * from "./contract.ts";
export { createImageService } from "./image-service.ts";
