/** What happens on a platform that the native packages have no build for: played in a process where they do not load. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

const WITHOUT_NATIVE = `data:text/javascript,${encodeURIComponent(`
  import Module from 'node:module';
  const load = Module._load;
  Module._load = (name, ...rest) => {
    if (/^(@node-rs\\/crc32|snappy|lz4-napi)$/.test(name)) throw new Error('no build for this platform');
    return load(name, ...rest);
  };
`)}`;

function run(source: string): unknown {
  const output = execFileSync(
    process.execPath,
    ['--import', WITHOUT_NATIVE, '--input-type=module', '--eval', source],
    { encoding: 'utf8', cwd: import.meta.dirname },
  );
  return JSON.parse(output);
}

test('checksums are computed all the same', () => {
  const result = run(`
    import { CRC32C_IS_NATIVE, crc32c } from '../../../core/crc32c.ts';
    const bytes = Buffer.alloc(5000, '123456789');
    process.stdout.write(JSON.stringify([CRC32C_IS_NATIVE, crc32c(bytes, 0, 9), crc32c(bytes, 0, 4500, 1)]));
  `);
  expect(result).toEqual([false, 0xe3069283, expect.any(Number)]);
});

test('gzip and zstd work, and the others say which package is missing', () => {
  const result = run(`
    import { compress, decompress } from './compression.ts';
    const results = {};
    const input = Buffer.from('some text '.repeat(50));
    for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
      try {
        results[codec] = decompress(codec, compress(codec, input), 1000).equals(input);
      } catch (error) {
        results[codec] = error.code + ' ' + error.message.replace(/ cannot.*/, '') + ' ' + error.retriable;
      }
    }
    process.stdout.write(JSON.stringify(results));
  `);
  expect(result).toEqual({
    gzip: true,
    snappy: 'ML_CODEC_UNAVAILABLE package snappy false',
    lz4: 'ML_CODEC_UNAVAILABLE package lz4-napi false',
    zstd: true,
  });
});
