// `Intl`, and the methods of `Date` and `Number` that use it: a few languages, where every result is either that of other engines or an
// error. The engine's own `Intl` answers everything, mostly wrongly: without the time zone, without separators, "other" for every plural.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_zone, op_local_zone } = core.ops;
  const { codedError } = internals;

  const unsupported = (what) => codedError(`${what} is not built in; \`Date\`'s toISOString and the parts of \`Intl.DateTimeFormat\` are`, "UNSUPPORTED", RangeError);
  const collator = globalThis.Intl.Collator;
  const Locale = globalThis.Intl.Locale;

  // The data of a language: separators of numbers and dates, the clock, and the choice of plurals.
  const LANGUAGES = {
    "en-US": { group: ",", decimal: ".", date: ["month", "day", "year"], separator: "/", clock: 12, plural: "one" },
    "en-GB": { group: ",", decimal: ".", date: ["day", "month", "year"], separator: "/", clock: 24, plural: "one", padded: true },
    "de-DE": { group: ".", decimal: ",", date: ["day", "month", "year"], separator: ".", clock: 24, plural: "one" },
  };
  const ALIASES = { en: "en-US", de: "de-DE" };
  const KNOWN = [...Object.keys(LANGUAGES), ...Object.keys(ALIASES)].sort().join(", ");

  function canonical(tag) {
    if (typeof tag !== "string" && !(tag instanceof Locale)) throw new TypeError("a locale is a text as in \"en-US\"");
    const text = String(tag);
    if (!/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(text)) throw new RangeError(`Incorrect locale information provided: \`${text}\``);
    return text.split("-").map((part, at) => {
      if (at === 0) return part.toLowerCase();
      if (/^[A-Za-z]{4}$/.test(part)) return part[0].toUpperCase() + part.slice(1).toLowerCase();
      return part.length === 2 ? part.toUpperCase() : part.toLowerCase();
    }).join("-");
  }
  const list = (locales) => locales === undefined ? [] : (typeof locales === "string" || locales instanceof Locale ? [locales] : [...locales]).map(canonical);
  // The first known locale. An unknown one is refused, never replaced by another.
  function choose(locales) {
    const wanted = list(locales);
    if (wanted.length === 0) return "en-US";
    const found = wanted.find((tag) => Object.hasOwn(LANGUAGES, tag) || Object.hasOwn(ALIASES, tag));
    if (found === undefined) throw unsupported(`the locale \`${wanted[0]}\` (known: ${KNOWN})`);
    return found;
  }
  const language = (locale) => LANGUAGES[ALIASES[locale] ?? locale];
  const supported = (locales) => list(locales).filter((tag) => Object.hasOwn(LANGUAGES, tag) || Object.hasOwn(ALIASES, tag));

  // The given options, all of which must be known.
  function read(given, known, what) {
    if (given === undefined) return {};
    if (given === null) throw new TypeError(`the options of ${what} must be an object`);
    const options = {};
    // `for in`: options may be inherited.
    for (const name in Object(given)) {
      const value = given[name];
      if (value === undefined) continue;
      if (!Object.hasOwn(known, name)) throw unsupported(`the option \`${name}\` of ${what}`);
      const allowed = known[name];
      if (Array.isArray(allowed) && !allowed.includes(value)) throw unsupported(`\`${name}: ${JSON.stringify(value)}\` of ${what}`);
      options[name] = value;
    }
    return options;
  }
  const MATCHER = ["lookup", "best fit"];

  // ---- Numbers ----

  const digits = (value, name, least, most, otherwise) => {
    if (value === undefined) return otherwise;
    if (!(value >= least && value <= most)) throw new RangeError(`${name} value is out of range.`);
    return Math.floor(value);
  };
  class NumberFormat {
    #locale;
    #options;
    constructor(locales, given) {
      this.#locale = choose(locales);
      const options = read(given, {
        style: ["decimal", "percent"], useGrouping: [true, false, "auto", "always"], notation: ["standard"], numberingSystem: ["latn"], localeMatcher: MATCHER,
        minimumIntegerDigits: null, minimumFractionDigits: null, maximumFractionDigits: null,
      }, "Intl.NumberFormat");
      const usual = options.style === "percent" ? 0 : 3;
      const least = digits(options.minimumFractionDigits, "minimumFractionDigits", 0, 100, undefined);
      const most = digits(options.maximumFractionDigits, "maximumFractionDigits", 0, 100, undefined);
      if (least !== undefined && most !== undefined && least > most) throw new RangeError("maximumFractionDigits value is out of range.");
      this.#options = {
        style: options.style ?? "decimal",
        minimumIntegerDigits: digits(options.minimumIntegerDigits, "minimumIntegerDigits", 1, 21, 1),
        minimumFractionDigits: least ?? Math.min(0, most ?? 0),
        maximumFractionDigits: most ?? Math.max(usual, least ?? 0),
        useGrouping: options.useGrouping === false ? false : options.useGrouping === "always" || options.useGrouping === true ? "always" : "auto",
      };
      // It may be passed as a function, as in `numbers.map(format.format)`.
      const bound = (value) => this.formatToParts(value).map((part) => part.value).join("");
      Object.defineProperty(this, "format", { value: bound, configurable: true });
    }
    formatToParts(value) {
      const { style, minimumIntegerDigits, minimumFractionDigits, maximumFractionDigits, useGrouping } = this.#options;
      const { group, decimal } = language(this.#locale);
      const percent = style === "percent";
      let sign = "";
      let whole;
      let fraction = "";
      if (typeof value === "bigint") {
        if (value < 0n) sign = "-";
        whole = String(value < 0n ? -value : value) + (percent && value !== 0n ? "00" : "");
      } else {
        const number = Number(value);
        if (number < 0 || Object.is(number, -0)) sign = "-";
        if (Number.isNaN(number)) return [{ type: "nan", value: "NaN" }, ...this.#percent(percent)];
        if (!Number.isFinite(number)) return [...(sign ? [{ type: "minusSign", value: "-" }] : []), { type: "infinity", value: "\u221e" }, ...this.#percent(percent)];
        [whole, fraction] = round(plain(Math.abs(number)), percent ? 2 : 0, maximumFractionDigits);
      }
      while (fraction.length > minimumFractionDigits && fraction.endsWith("0")) fraction = fraction.slice(0, -1);
      fraction = fraction.padEnd(minimumFractionDigits, "0");
      whole = whole.padStart(minimumIntegerDigits, "0");
      const parts = sign === "" ? [] : [{ type: "minusSign", value: "-" }];
      if (useGrouping === false || whole.length < 4) {
        parts.push({ type: "integer", value: whole });
      } else {
        const head = whole.length % 3 || 3;
        parts.push({ type: "integer", value: whole.slice(0, head) });
        for (let at = head; at < whole.length; at += 3) parts.push({ type: "group", value: group }, { type: "integer", value: whole.slice(at, at + 3) });
      }
      if (fraction !== "") parts.push({ type: "decimal", value: decimal }, { type: "fraction", value: fraction });
      parts.push(...this.#percent(percent));
      return parts;
    }
    #percent(wanted) {
      if (!wanted) return [];
      return language(this.#locale).decimal === "," ? [{ type: "literal", value: "\u00a0" }, { type: "percentSign", value: "%" }] : [{ type: "percentSign", value: "%" }];
    }
    resolvedOptions() {
      return { locale: this.#locale, numberingSystem: "latn", ...this.#options, notation: "standard" };
    }
    static supportedLocalesOf(locales) {
      return supported(locales);
    }
  }
  // All digits of a number that is not negative, without an exponent: [before the point, after it].
  function plain(number) {
    const [mantissa, exponent] = String(number).split("e");
    const [whole, fraction = ""] = mantissa.split(".");
    if (exponent === undefined) return [whole, fraction];
    const shift = Number(exponent);
    return shift > 0
      ? [whole + fraction.padEnd(shift, "0").slice(0, shift), fraction.slice(shift)]
      : ["0", (whole.padStart(1 - shift, "0") + fraction).slice(1)];
  }
  // Moves the point by `shift` digits and rounds half away from zero: decimal digits, as they are shown.
  function round([whole, fraction], shift, places) {
    const moved = fraction.padEnd(shift, "0");
    const digits = whole + moved.slice(0, shift);
    const rest = moved.slice(shift);
    const kept = BigInt(digits + rest.slice(0, places).padEnd(places, "0"));
    const up = rest.charCodeAt(places) >= 53; // "5"
    const text = String(up ? kept + 1n : kept).padStart(places + 1, "0");
    return [text.slice(0, text.length - places).replace(/^0+(?=\d)/, ""), text.slice(text.length - places)];
  }

  // ---- Plurals ----

  class PluralRules {
    #locale;
    #type;
    constructor(locales, given) {
      this.#locale = choose(locales);
      const options = read(given, { type: ["cardinal", "ordinal"], localeMatcher: MATCHER }, "Intl.PluralRules");
      this.#type = options.type ?? "cardinal";
    }
    select(value) {
      const number = Math.abs(Number(value));
      if (this.#type === "cardinal") return number === 1 ? "one" : "other";
      if (!(ALIASES[this.#locale] ?? this.#locale).startsWith("en") || !Number.isInteger(number)) return "other";
      const last = number % 10, two = number % 100;
      return last === 1 && two !== 11 ? "one" : last === 2 && two !== 12 ? "two" : last === 3 && two !== 13 ? "few" : "other";
    }
    resolvedOptions() {
      const pluralCategories = this.#type === "ordinal" ? (this.#locale.startsWith("en") ? ["few", "one", "two", "other"] : ["other"]) : ["one", "other"];
      return { locale: this.#locale, type: this.#type, pluralCategories };
    }
    static supportedLocalesOf(locales) {
      return supported(locales);
    }
  }

  // ---- Dates ----

  // Wall time at a moment in a zone; without one, where this runs.
  function wall(ms, zone) {
    const seconds = zone === undefined ? -new Date(ms).getTimezoneOffset() * 60 : Number(op_zone(zone, ms).split(" ")[0]);
    const at = new Date(ms + seconds * 1000);
    return {
      year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, day: at.getUTCDate(), weekday: at.getUTCDay(),
      hour: at.getUTCHours(), minute: at.getUTCMinutes(), second: at.getUTCSeconds(),
      millisecond: at.getUTCMilliseconds(),
    };
  }
  const DATE = ["year", "month", "day"], TIME = ["hour", "minute", "second", "fractionalSecondDigits"];
  const NUMERIC = ["numeric", "2-digit"];
  class DateTimeFormat {
    #locale;
    #zone;
    #fields;
    #cycle;
    constructor(locales, given, defaults = "any") {
      this.#locale = choose(locales);
      const options = read(given, {
        timeZone: null, hour12: [true, false], hourCycle: ["h12", "h23"], calendar: ["gregory"], numberingSystem: ["latn"], localeMatcher: MATCHER,
        formatMatcher: ["basic", "best fit"], year: NUMERIC, month: NUMERIC, day: NUMERIC, hour: NUMERIC, minute: NUMERIC, second: NUMERIC,
        fractionalSecondDigits: [1, 2, 3],
      }, "Intl.DateTimeFormat");
      if (options.timeZone !== undefined) this.#zone = op_zone(String(options.timeZone), 0).split(" ")[1];
      const fields = {};
      for (const name of [...DATE, ...TIME]) if (options[name] !== undefined) fields[name] = options[name];
      const has = (names) => names.some((name) => fields[name] !== undefined);
      // The required fields, and the defaults if they are missing: `any` is the constructor's own.
      const required = { any: [...DATE, ...TIME], all: [...DATE, ...TIME], date: DATE, time: TIME }[defaults];
      if (!has(required)) {
        const added = { any: DATE, all: [...DATE, ...TIME.slice(0, 3)], date: DATE, time: TIME.slice(0, 3) }[defaults];
        for (const name of added) fields[name] = "numeric";
      }
      this.#fields = fields;
      const twelve = options.hour12 ?? (options.hourCycle === undefined ? language(this.#locale).clock === 12 : options.hourCycle === "h12");
      // Without AM and PM the American format writes 24:00 for midnight, unless an option overrides it.
      const american = language(this.#locale).clock === 12 && options.hour12 === false;
      this.#cycle = twelve ? "h12" : american ? "h24" : "h23";
      const dates = DATE.filter((name) => fields[name] !== undefined).join();
      if (!["", "year", "month", "day", "year,month", "month,day", "year,month,day"].includes(dates)) throw unsupported(`a date of ${dates} alone`);
      const times = TIME.filter((name) => fields[name] !== undefined).join();
      if (!["", "hour", "hour,minute", "hour,minute,second", "hour,minute,second,fractionalSecondDigits", "minute,second"].includes(times)) throw unsupported(`a time of ${times} alone`);
      // These differ between languages.
      const { clock } = language(this.#locale);
      if (fields.hour !== undefined && clock === 24) {
        if (twelve) throw unsupported(`a clock of 12 hours in \`${this.#locale}\``);
        if (times === "hour" && (ALIASES[this.#locale] ?? this.#locale) === "de-DE") throw unsupported(`an hour alone in \`${this.#locale}\``);
        if (fields.hour === "numeric" && (fields.minute === "2-digit" || fields.second === "2-digit")) {
          throw unsupported(`\`hour: "numeric"\` beside \`"2-digit"\` in \`${this.#locale}\``);
        }
      }
      const bound = (date) => this.formatToParts(date).map((part) => part.value).join("");
      Object.defineProperty(this, "format", { value: bound, configurable: true });
    }
    formatToParts(date) {
      const ms = date === undefined ? Date.now() : Number(date);
      if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) throw new RangeError("Invalid time value");
      const at = wall(ms, this.#zone);
      const { date: order, separator, padded } = language(this.#locale);
      const fields = this.#fields;
      const parts = [];
      const literal = (value) => parts.push({ type: "literal", value });
      const two = (value) => String(value).padStart(2, "0");
      const shown = order.filter((name) => fields[name] !== undefined);
      shown.forEach((name, index) => {
        if (index > 0) literal(shown.length === 2 && name === "year" && separator === "." ? "/" : separator);
        if (name === "year") {
          const year = at.year > 0 ? at.year : 1 - at.year;
          parts.push({ type: name, value: fields.year === "2-digit" ? two(year % 100) : String(year) });
        } else {
          // The British format has both digits if there are several numbers.
          const both = fields[name] === "2-digit" || (padded && shown.length > 1);
          parts.push({ type: name, value: both ? two(at[name]) : String(at[name]) });
        }
      });
      if (shown.length === 2 && !shown.includes("year") && separator === ".") literal(".");
      if (fields.hour !== undefined || fields.minute !== undefined) {
        if (shown.length > 0) literal(", ");
        this.#time(at, parts, literal, two);
      }
      return parts;
    }
    #time(at, parts, literal, two) {
      const fields = this.#fields;
      const twelve = this.#cycle === "h12";
      if (fields.hour !== undefined) {
        const hour = twelve ? (at.hour + 11) % 12 + 1 : at.hour === 0 && this.#cycle === "h24" ? 24 : at.hour;
        const both = fields.hour === "2-digit" || !twelve;
        parts.push({ type: "hour", value: both ? two(hour) : String(hour) });
      }
      if (fields.minute !== undefined) {
        if (fields.hour !== undefined) literal(":");
        parts.push({ type: "minute", value: two(at.minute) });
      }
      if (fields.second !== undefined) {
        literal(":");
        parts.push({ type: "second", value: two(at.second) });
      }
      if (fields.fractionalSecondDigits !== undefined) {
        literal(language(this.#locale).decimal);
        parts.push({ type: "fractionalSecond", value: String(at.millisecond).padStart(3, "0").slice(0, fields.fractionalSecondDigits) });
      }
      if (twelve && fields.hour !== undefined) {
        literal(" ");
        parts.push({ type: "dayPeriod", value: at.hour < 12 ? "AM" : "PM" });
      }
    }
    resolvedOptions() {
      const cycle = this.#fields.hour === undefined ? {} : { hourCycle: this.#cycle, hour12: this.#cycle === "h12" };
      return { locale: this.#locale, calendar: "gregory", numberingSystem: "latn", timeZone: this.#zone ?? op_local_zone(), ...cycle, ...this.#fields };
    }
    static supportedLocalesOf(locales) {
      return supported(locales);
    }
  }

  // ---- Unsupported parts ----

  function absent(name) {
    const Class = { [name]: class { constructor() { throw unsupported(`\`Intl.${name}\``); } } }[name];
    Object.defineProperty(Class, "supportedLocalesOf", { value: (locales) => (list(locales), []), writable: true, configurable: true });
    return Class;
  }

  const hidden = (target, entries) => {
    for (const [name, value] of Object.entries(entries)) Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
  };
  const Intl = {};
  Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });
  hidden(Intl, {
    Collator: collator, DateTimeFormat, Locale, NumberFormat, PluralRules,
    getCanonicalLocales: (locales) => [...new Set(list(locales))],
    supportedValuesOf() { throw unsupported("`Intl.supportedValuesOf`"); },
  });
  for (const name of ["DisplayNames", "DurationFormat", "ListFormat", "RelativeTimeFormat", "Segmenter"]) hidden(Intl, { [name]: absent(name) });
  internals.define("Intl", Intl);

  const dateText = (date, locales, options, defaults) => Number.isNaN(date.getTime()) ? "Invalid Date" : new DateTimeFormat(locales, options, defaults).format(date);
  hidden(Date.prototype, {
    toLocaleString(locales, options) { return dateText(this, locales, options, "all"); },
    toLocaleDateString(locales, options) { return dateText(this, locales, options, "date"); },
    toLocaleTimeString(locales, options) { return dateText(this, locales, options, "time"); },
  });
  const numberText = (Type, name) => function toLocaleString(locales, options) {
    const value = Type.prototype.valueOf.call(this);
    return new NumberFormat(locales, options).format(value);
  };
  hidden(Number.prototype, { toLocaleString: numberText(Number) });
  hidden(BigInt.prototype, { toLocaleString: numberText(BigInt) });
})();
