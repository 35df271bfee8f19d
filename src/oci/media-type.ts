/** Media types of images, OCI's and Docker's. @see OCI image-spec media-types.md */
export const OCI_INDEX: string = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST: string = "application/vnd.oci.image.manifest.v1+json";
export const OCI_CONFIG: string = "application/vnd.oci.image.config.v1+json";
export const OCI_LAYER: string = "application/vnd.oci.image.layer.v1.tar";
export const OCI_LAYER_GZIP: string = "application/vnd.oci.image.layer.v1.tar+gzip";
export const OCI_LAYER_ZSTD: string = "application/vnd.oci.image.layer.v1.tar+zstd";
export const DOCKER_INDEX: string = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST: string = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_CONFIG: string = "application/vnd.docker.container.image.v1+json";

export function isIndexType(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_INDEX;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST;
}

/** True for the configuration of an image that runs; artifacts have other types. */
export function isImageConfigType(mediaType: string): boolean {
  return mediaType === OCI_CONFIG || mediaType === DOCKER_CONFIG;
}
