/** What `version` says of this build. The build script defines the two facts of the commit. */
export const ENGINE_VERSION: string = "0.1.0";
export const GIT_COMMIT: string = process.env["NARU_BUILD_COMMIT"] ?? "";
export const BUILD_TIME: string = process.env["NARU_BUILD_TIME"] ?? "";
