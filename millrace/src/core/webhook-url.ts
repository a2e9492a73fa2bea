/** Where webhooks may be sent, as far as a URL says it. */
import { MillraceError } from './errors.ts';
import { isAddress, isPublicAddress } from './ip-address.ts';

/** @throws {MillraceError} ML_WEBHOOK_ADDRESS for what cannot be asked, whatever its host leads to */
export function checkPostUrl(text: string, allowPrivate: boolean): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw refused(`'${text.slice(0, 200)}' is no URL of an endpoint`, 'Write https://host/path');
  if (url.username !== '' || url.password !== '')
    throw refused(`the URL for ${url.host} has a name and a password in it`, 'Use headers instead');
  if (allowPrivate) return url;
  if (url.protocol === 'http:')
    throw refused(
      `${url.origin} is asked without encryption`,
      'Write https://, or allow it with allowPrivate',
    );
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isAddress(host) && !isPublicAddress(host)) throw notPublic(host, [host]);
  return url;
}

function refused(message: string, hint: string): MillraceError {
  return new MillraceError('ML_WEBHOOK_ADDRESS', message, { hint });
}

/** Whatever is said where it leads. */
export function notPublic(host: string, addresses: readonly string[]): MillraceError {
  const where = addresses.length === 0 ? 'nowhere' : `to ${addresses.join(', ')}`;
  return new MillraceError(
    'ML_WEBHOOK_ADDRESS',
    `${host} leads ${where}, which is not a public address`,
    { fields: { host } },
  );
}
