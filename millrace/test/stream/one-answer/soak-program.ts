/** One of the programs that give one answer, for a process of `soak-streams.ts`. */
import { flow } from '../../../src/index.ts';
import { programs } from './programs.ts';

const prefix = process.env['MILLRACE_TEST_PREFIX'] ?? '';
const name = process.env['MILLRACE_TEST_PROGRAM'] ?? '';
const program = programs(`${prefix}-`)[name];
if (program === undefined) throw new Error(`there is no program ${name}`);

export const soaked = flow(prefix, program.build);
