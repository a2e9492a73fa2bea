/** docs/reference/kafka-support.md: what the Kafka port serves, from the registry and from the header of each API's file. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { servedApis } from '../../src/server/kafka/registry.ts';

const FOLDER = new URL('../../src/server/kafka/', import.meta.url);
const FILE = /^(\d\d)-[a-z-]+\.ts$/;

interface Header {
  readonly key: number;
  readonly behaviour: readonly string[];
  readonly deviations: readonly string[];
  readonly source: string;
}

export function kafkaSupportPage(): string {
  const headers = new Map(apiFiles().map((file) => [keyOf(file), readHeader(file)]));
  const apis = servedApis();
  const known = new Set(apis.map((api) => api.key));
  const idle = [...headers.keys()].filter((key) => !known.has(key));
  if (idle.length > 0)
    throw new Error(`files that the registry does not serve: ${idle.join(', ')}`);
  const lines = [
    '# What the Kafka port serves',
    '',
    'Generated from the sources by `npm run docs`: do not edit.',
    '',
    'ApiVersions tells clients exactly this list. "Deviations" are the differences from Apache Kafka that a client can notice.',
    '',
    '| Key | API | Versions | Advertised |',
    '| --- | --- | --- | --- |',
  ];
  for (const api of apis) {
    const served = range(api.minVersion, api.maxVersion);
    const advertised = range(api.advertisedMinVersion ?? api.minVersion, api.maxVersion);
    const link = `[${api.name}](#${api.name.toLowerCase()})`;
    lines.push(`| ${api.key} | ${link} | ${served} | ${advertised} |`);
  }
  for (const api of apis) {
    const header = headers.get(api.key);
    if (header === undefined) throw new Error(`no file for ${api.name} (key ${api.key})`);
    lines.push('', `## ${api.name}`, '');
    lines.push(
      `Key ${api.key}, versions ${range(api.minVersion, api.maxVersion)}. ${header.source}`,
      '',
    );
    lines.push('Behaviour:', '', ...bullets(header.behaviour));
    if (header.deviations.length > 0)
      lines.push('', 'Deviations:', '', ...bullets(header.deviations));
  }
  return `${lines.join('\n')}\n`;
}

function apiFiles(): string[] {
  return readdirSync(fileURLToPath(FOLDER)).filter((name) => FILE.test(name));
}

function keyOf(file: string): number {
  return Number(FILE.exec(file)?.[1]);
}

/** @throws when a file does not have the header that every API file has */
function readHeader(file: string): Header {
  const text = readFileSync(new URL(file, FOLDER), 'utf8');
  const comment = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(text)?.[1];
  if (comment === undefined) throw new Error(`${file} has no header comment`);
  const lines = comment.split('\n').map((line) => line.replace(/^ \* ?/, ''));
  const key = keyOf(file);
  if (!(lines[0] ?? '').includes(`(key ${key})`))
    throw new Error(`the header of ${file} does not name its key`);
  const behaviour = list(lines, 'Behaviour:');
  if (behaviour.length === 0)
    throw new Error(`the header of ${file} says nothing under Behaviour:`);
  const deviations = list(lines, 'Deviations:').filter((item) => !/^none\b/i.test(item));
  return { key, behaviour, deviations, source: paragraph(lines, 'Source:') };
}

/** The `- ` items under a title, lines that continue one joined to it. */
function list(lines: readonly string[], title: string): string[] {
  const start = lines.indexOf(title);
  if (start < 0) return [];
  const items: string[] = [];
  for (const line of lines.slice(start + 1)) {
    if (line.startsWith('- ')) items.push(line.slice(2));
    else if (line.startsWith('  ') && items.length > 0) items.push(`${items.pop()} ${line.trim()}`);
    else if (line.trim() !== '' || items.length > 0) break;
  }
  return items;
}

/** The sentence that begins with a word, over several lines. */
function paragraph(lines: readonly string[], word: string): string {
  const start = lines.findIndex((line) => line.startsWith(word));
  if (start < 0) return '';
  const end = lines.findIndex((line, index) => index > start && line.trim() === '');
  return lines.slice(start, end < 0 ? undefined : end).join(' ');
}

function bullets(items: readonly string[]): string[] {
  return items.map((item) => `- ${item}`);
}

function range(min: number, max: number): string {
  return min === max ? String(min) : `${min}-${max}`;
}
