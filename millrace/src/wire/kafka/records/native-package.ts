/**
 * Loading the packages with native code.
 *
 * Owns: that a missing build for a platform is an error of ours that names the package.
 */
import { createRequire } from 'node:module';
import { MillraceError } from '../../../core/errors.ts';

const require = createRequire(import.meta.url);

/**
 * The exports of `name`.
 * @throws {MillraceError} ML_CODEC_UNAVAILABLE when it is not installed, or has no build for this platform.
 */
export function requireNative(name: string): unknown {
  try {
    return require(name);
  } catch (cause) {
    throw new MillraceError(
      'ML_CODEC_UNAVAILABLE',
      `package ${name} cannot be loaded on ${process.platform} ${process.arch}`,
      {
        cause,
        hint: `Run \`npm install ${name}\`, or use a codec that Node has itself: gzip or zstd`,
      },
    );
  }
}
