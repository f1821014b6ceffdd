"""A browser with nobody before it: keeps cookies, follows redirects, fills in and sends the server's forms.

It walks until it is sent to another origin or stands on a page without a form, and says where that is. From the command
line, for the other languages: `browser.py ADDRESS --username U --password P [--refuse] [--cookies FILE]`.
"""

import argparse
import os
from html.parser import HTMLParser
from http.cookiejar import LWPCookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

# Signing in, a device's code, its confirmation: more pages than this in a row are a loop.
MOST_STEPS = 12


class FirstForm(HTMLParser):
    """The first form of a page: where it goes, its fields with their values, its buttons that have a name."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self.buttons, self._is_past = None, {}, [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        has = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = has["action"]
        elif self.action is None or self._is_past or "name" not in has:
            return
        elif tag == "input":
            self.fields[has["name"]] = has.get("value", "")
        elif tag == "button":
            self.buttons.append((has["name"], has["value"]))

    def handle_endtag(self, tag):
        self._is_past = self._is_past or tag == "form" and self.action is not None


class StayHere(HTTPRedirectHandler):
    """Redirects are looked at before they are followed."""

    def redirect_request(self, *_):
        return None


class Browser:
    def __init__(self, username, password, cookies=None):
        self.typed = {"username": username, "password": password}
        self.cookies = LWPCookieJar()
        if cookies and os.path.exists(cookies):
            self.cookies.load(cookies, ignore_discard=True)
        self._opener = build_opener(HTTPCookieProcessor(self.cookies), StayHere())

    def walk(self, address, refuse=False):
        """The address of another origin to which the server sends the browser, or of the page where the way ends.

        `refuse` presses the last button of each form instead of its first.
        """
        origin, form = _origin(address), None
        for _ in range(MOST_STEPS):
            page, redirect = self._load(address, form)
            if redirect:
                address, form = redirect, None
                if _origin(address) != origin:
                    return address
                continue
            found = FirstForm(page)
            if found.action is None:
                return address
            form = {name: self.typed.get(name, value) for name, value in found.fields.items()}
            form.update([found.buttons[-1 if refuse else 0]] if found.buttons else [])
            address = urljoin(address, found.action)
        raise RuntimeError(f"{MOST_STEPS} pages, and no end: {address}")

    def _load(self, address, form):
        request = Request(address, data=urlencode(form).encode() if form else None)
        request.add_header("Accept-Language", "en")
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.read().decode(), None
        except HTTPError as answer:
            if answer.code in (302, 303):
                return None, urljoin(address, answer.headers["Location"])
            raise RuntimeError(f"{address}: {answer.code}\n{answer.read().decode()}") from None


def _origin(address):
    return urlsplit(address)[:2]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("address")
    arguments.add_argument("--username", required=True)
    arguments.add_argument("--password", required=True)
    arguments.add_argument("--refuse", action="store_true", help="press the last button of a form, not the first")
    arguments.add_argument("--cookies", help="a file to take cookies from and leave them in")
    given = arguments.parse_args()
    browser = Browser(given.username, given.password, given.cookies)
    print(browser.walk(given.address, given.refuse))
    if given.cookies:
        browser.cookies.save(given.cookies, ignore_discard=True)


if __name__ == "__main__":
    main()
