/** docs/reference/settings.md and topic-configs.md, from the tables that the broker itself reads. */
import type { ConfigKey } from '../../src/broker/config-table.ts';
import { SETTINGS } from '../../src/broker/settings.ts';
import { TOPIC_CONFIGS } from '../../src/broker/topic-config.ts';

export function settingsPage(): string {
  const lines = [
    '# Settings of the broker',
    '',
    'Generated from the sources by `npm run docs`: do not edit.',
    '',
    'Names are those of Apache Kafka where it has the same setting. An unknown name or a value that is not allowed stops the',
    'start with ML_CONFIG_INVALID. Settings are read at the start and stay as they are while the broker runs.',
    '',
    '| Name | Type | Default | Allowed | Meaning |',
    '| --- | --- | --- | --- | --- |',
    ...Object.values(SETTINGS).map((key) => row(key, key.name)),
    '',
    '## Defaults for topics',
    '',
    'What a topic does not configure itself has the value of these settings. [Topic configurations](topic-configs.md) says what',
    'they mean.',
    '',
    '| Name | Default | Topic configuration |',
    '| --- | --- | --- |',
  ];
  for (const definition of Object.values(TOPIC_CONFIGS)) {
    const key: ConfigKey<unknown> = definition;
    if (key.synonym !== undefined)
      lines.push(`| \`${key.synonym}\` | ${shown(key)} | \`${key.name}\` |`);
  }
  return `${lines.join('\n')}\n`;
}

export function topicConfigsPage(): string {
  const keys: readonly ConfigKey<unknown>[] = Object.values(TOPIC_CONFIGS);
  const lines = [
    '# Topic configurations',
    '',
    'Generated from the sources by `npm run docs`: do not edit.',
    '',
    'Set them when a topic is created, or later with any Kafka admin tool or `millrace topic config`. They take effect at once. An',
    'unknown name or a value that is not allowed is refused with INVALID_CONFIG.',
    '',
    '| Name | Type | Default | Allowed | Meaning |',
    '| --- | --- | --- | --- | --- |',
    ...keys.filter((key) => key.effective).map((key) => row(key, key.name)),
    '',
    '## Accepted without effect',
    '',
    'Kept and shown, so that tools which set them work.',
    '',
    '| Name | Type | Default | Allowed | Why it has no effect |',
    '| --- | --- | --- | --- | --- |',
    ...keys.filter((key) => !key.effective).map((key) => row(key, key.name)),
  ];
  return `${lines.join('\n')}\n`;
}

function row(key: ConfigKey<unknown>, name: string): string {
  const cells = [`\`${name}\``, key.type, shown(key), key.allowed, key.doc.replaceAll('|', '\\|')];
  return `| ${cells.join(' | ')} |`;
}

function shown(key: ConfigKey<unknown>): string {
  const text = key.format(key.default);
  return text === '' ? 'empty' : `\`${text}\``;
}
