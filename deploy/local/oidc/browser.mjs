// A browser for scripts: cookies of the provider, redirects, and the one form of each page, filled in and sent.

// Opens an address and clicks through to the last page: {url, status, text}. `fields` fill the form's inputs by name; an address for which
// `stops` says true is not opened.
export async function visit(address, { issuer, fields = {}, stops = () => false }) {
  const jar = new Map();
  let next = { url: address };
  for (let steps = 0; steps < 20; steps += 1) {
    const own = next.url.startsWith(`${issuer}/`);
    const headers = own ? { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') } : {};
    const answer = await fetch(next.url, { method: next.form ? 'POST' : 'GET', body: next.form, headers, redirect: 'manual' });
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const at = pair.indexOf('=');
      if (own) jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const text = await answer.text();
    const location = answer.headers.get('location');
    if (location) {
      next = { url: new URL(location, next.url).href };
      if (stops(next.url)) return { url: next.url, status: 0, text: '' };
      continue;
    }
    const action = own && answer.ok && text.match(/<form[^>]* action="([^"]*)"/);
    if (!action) return { url: next.url, status: answer.status, text };
    const form = new URLSearchParams();
    for (const [input] of text.matchAll(/<input[^>]*>/g)) {
      const field = input.match(/name="([^"]*)"/)?.[1];
      if (field) form.set(field, fields[field] ?? input.match(/value="([^"]*)"/)?.[1] ?? '');
    }
    // What the person knows goes to the provider alone.
    next = { url: new URL(action[1], next.url).href, form };
    if (!next.url.startsWith(`${issuer}/`)) throw new Error('a form leads away from the provider');
  }
  throw new Error('the pages go round in circles');
}
