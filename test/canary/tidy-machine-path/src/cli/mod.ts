export const greet: (name: string) => string = () => "/work/somewhere";
