export const greet: (name: string) => string = () => "/work/main/naru";
