/**
 * Configuration as the admin APIs show it. Source: KIP-133, KIP-226 (sources and synonyms), KIP-569 (types and docs).
 */
import type { ConfigKey, ConfigType } from '../../broker/config-table.ts';
import { SETTINGS, type BrokerSettings } from '../../broker/settings.ts';
import { TOPIC_CONFIGS, type TopicConfig, type TopicOverrides } from '../../broker/topic-config.ts';

/** NOTE: numbers of the protocol. */
export const RESOURCE_TOPIC = 2;
export const RESOURCE_BROKER = 4;

/** NOTE: numbers of the protocol. */
export const SOURCE_TOPIC = 1;
export const SOURCE_STATIC_BROKER = 4;
export const SOURCE_DEFAULT = 5;

/** NOTE: numbers of the protocol. */
export const CONFIG_TYPE_IDS: Readonly<Record<ConfigType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  double: 6,
  list: 7,
};

export interface ConfigEntry {
  readonly name: string;
  readonly value: string;
  readonly source: number;
  readonly type: ConfigType;
  readonly doc: string;
  readonly readOnly: boolean;
  /** Where the value comes from, and what it would be otherwise: the first is the value in force. */
  readonly synonyms: readonly {
    readonly name: string;
    readonly value: string;
    readonly source: number;
  }[];
}

/** The configuration of a topic, every key of it. */
export function topicConfigEntries(
  config: TopicConfig,
  overrides: TopicOverrides,
  settings: BrokerSettings,
): ConfigEntry[] {
  return Object.entries(TOPIC_CONFIGS).map(([property, definition]) => {
    const key = definition as ConfigKey<unknown>;
    const value = key.format(config[property as keyof TopicConfig]);
    const synonyms = [];
    if (Object.hasOwn(overrides, key.name))
      synonyms.push({ name: key.name, value, source: SOURCE_TOPIC });
    if (key.synonym !== undefined) {
      if (settings.given.has(key.synonym)) {
        const given = key.format(settings.topicDefaults[property as keyof TopicConfig]);
        synonyms.push({ name: key.synonym, value: given, source: SOURCE_STATIC_BROKER });
      }
      const fallback = key.format(key.default);
      synonyms.push({ name: key.synonym, value: fallback, source: SOURCE_DEFAULT });
    }
    return entryOf(key, {
      value,
      source: synonyms[0]?.source ?? SOURCE_DEFAULT,
      synonyms,
      readOnly: false,
    });
  });
}

/** The settings of the broker and its defaults for topics; all are given at start, none can be altered while it runs. */
export function brokerConfigEntries(settings: BrokerSettings): ConfigEntry[] {
  const own = Object.entries(SETTINGS).map(([property, definition]) => {
    const key = definition as ConfigKey<unknown>;
    return settingEntry(key, key.name, settings[property as keyof typeof SETTINGS], settings);
  });
  const ofTopics = Object.entries(TOPIC_CONFIGS).flatMap(([property, definition]) => {
    const key = definition as ConfigKey<unknown>;
    return key.synonym === undefined
      ? []
      : [
          settingEntry(
            key,
            key.synonym,
            settings.topicDefaults[property as keyof TopicConfig],
            settings,
          ),
        ];
  });
  return [...own, ...ofTopics];
}

function settingEntry(
  key: ConfigKey<unknown>,
  name: string,
  parsed: unknown,
  settings: BrokerSettings,
): ConfigEntry {
  const value = key.format(parsed);
  const synonyms = [{ name, value: key.format(key.default), source: SOURCE_DEFAULT }];
  if (settings.given.has(name)) synonyms.unshift({ name, value, source: SOURCE_STATIC_BROKER });
  const source = synonyms[0]?.source ?? SOURCE_DEFAULT;
  return { ...entryOf(key, { value, source, synonyms, readOnly: true }), name };
}

function entryOf(
  key: ConfigKey<unknown>,
  rest: Pick<ConfigEntry, 'value' | 'source' | 'synonyms' | 'readOnly'>,
): ConfigEntry {
  return { name: key.name, type: key.type, doc: key.doc, ...rest };
}
