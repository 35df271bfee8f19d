export const dead: number = 1;
