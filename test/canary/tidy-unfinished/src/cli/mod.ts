// FIXME: this is not done
export const greet: (name: string) => string = String;
