/**
 * Our responses read by the decoders of @platformatic/kafka, for every API and version that both have. Every value in a
 * message is another one (distinct-values.ts), and nothing may be left over.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { Reader } from '@platformatic/kafka';
import { describe, expect, test } from 'vitest';
import { ALL_APIS } from '../../../test/wire/all-messages.ts';
import { distinctMessage, leaves } from '../../../test/wire/distinct-values.ts';
import { encodeMessage } from './codec.ts';

interface Decoder {
  readonly parseResponse: (
    correlationId: number,
    key: number,
    version: number,
    reader: Reader,
  ) => unknown;
}

const FOLDER = join(fileURLToPath(import.meta.resolve('@platformatic/kafka')), '../apis');

const FILES: ReadonlyMap<string, string> = new Map(
  readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((file) => /-v\d+\.js$/.test(file))
    .map((file) => [file.replace(/^.*[\\/]/, ''), join(FOLDER, file)]),
);

function fileName(api: string, version: number): string {
  const kebab = api.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase();
  return `${kebab}-v${version}.js`;
}

const CASES = ALL_APIS.flatMap((api) =>
  Array.from({ length: api.response.maxVersion + 1 }, (_, version) => ({
    name: api.name,
    api,
    version,
    file: FILES.get(fileName(api.name, version)),
  })).filter(({ version, file }) => file !== undefined && version >= api.response.minVersion),
);

test('covers most of what @platformatic/kafka has', () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBeGreaterThan(30);
  expect(CASES.length).toBeGreaterThan(100);
});

describe('@platformatic/kafka decodes our responses', () => {
  test.each(CASES)('$name v$version', async ({ api, version, file }) => {
    const { parseResponse } = (await import(pathToFileURL(file ?? '').href)) as Decoder;
    const ours = distinctMessage(api.response, version);
    const bytes = encodeMessage(api.response, version, ours);
    const reader = Reader.from(bytes);
    const theirs = parseResponse(1, api.key, version, reader);
    const sent = new Set([...leaves(ours), '', '-1', '0', 'true', 'false', 'null', 'undefined']);
    const read = leaves(theirs);
    expect(read.filter((leaf) => !sent.has(leaf))).toEqual([]);
    expect(read.length).toBeGreaterThan(0);
    expect(reader.remaining).toBe(0);
  });
});
