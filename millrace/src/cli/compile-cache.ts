/**
 * Compiled code, and programs without their types, are kept in the directory of jobs: a run starts in three quarters of the time, and
 * its workers do. That directory is the user's own, unlike one that all users share (docs/decisions/start-up.md).
 */
import { enableCompileCache } from 'node:module';
import { realEnv } from '../core/real-env.ts';
import { dataDirectory } from './data-directory.ts';

const VARIABLE = 'NODE_COMPILE_CACHE';

/**
 * Before anything large is imported. Does nothing before the first job: a command that fails should leave no directory behind.
 * What it decides holds for child processes, too.
 */
export function keepCompiledCode(data: string | undefined): void {
  const jobs = `${dataDirectory(data)}/jobs`;
  if (process.env[VARIABLE] !== undefined || !isDirectory(jobs)) return;
  const directory = `${jobs}/code-cache`;
  enableCompileCache(directory);
  process.env[VARIABLE] = directory;
}

function isDirectory(path: string): boolean {
  try {
    return realEnv().fs.stat(path)?.kind === 'directory';
  } catch {
    // Whatever is wrong with it is told by who needs it.
    return false;
  }
}
