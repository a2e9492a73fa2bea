/** Packages that only some programs need: they are installed by those who do. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { MillraceError } from '../core/errors.ts';

/**
 * Loads a package from here, or from where the program is run.
 * @param load `() => import('name')`, written out so that types and bundlers see it
 * @param purpose what needs it: `reading Parquet`
 * @throws {MillraceError} ML_PACKAGE_MISSING
 */
export async function loadOptional<Library>(
  name: string,
  purpose: string,
  load: () => Promise<Library>,
): Promise<Library> {
  try {
    return await load();
  } catch {
    try {
      const path = createRequire(`${process.cwd()}/`).resolve(name);
      return (await import(pathToFileURL(path).href)) as Library;
    } catch (cause) {
      throw missing(name, purpose, cause);
    }
  }
}

/**
 * The same for a package that can be loaded at once, where a program is being described and nothing may wait.
 * @throws {MillraceError} ML_PACKAGE_MISSING
 */
export function requireOptional(name: string, purpose: string): unknown {
  try {
    return createRequire(import.meta.url)(name) as unknown;
  } catch {
    try {
      return createRequire(`${process.cwd()}/`)(name) as unknown;
    } catch (cause) {
      throw missing(name, purpose, cause);
    }
  }
}

function missing(name: string, purpose: string, cause: unknown): MillraceError {
  return new MillraceError(
    'ML_PACKAGE_MISSING',
    `${purpose} needs the package ${name}, which is not installed`,
    { cause, hint: `npm install ${name}`, fields: { package: name } },
  );
}
