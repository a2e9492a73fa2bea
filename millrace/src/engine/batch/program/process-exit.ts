/**
 * `process.exit` in a program: in a worker it would cost a task that is tried again for nothing, in the driver the whole job, without
 * a word of which line it was. In the process of a job it is an error of the function that calls it.
 */

/** Ends this process: what `process.exit` was before a program was loaded. */
export const exitProcess: (code?: number) => never = process.exit.bind(process);

/** Keeps programs from ending this process by `process.exit`, for the rest of its life. */
export function forbidExit(): void {
  process.exit = (code) => {
    const argument = code === undefined || code === null ? '' : String(code);
    throw new Error(`process.exit(${argument}) was called, which a program must not do`);
  };
}
