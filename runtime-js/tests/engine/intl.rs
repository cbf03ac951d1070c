//! `Intl`: as Node 20 and 22 print it, or refused.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use serde_json::json;

/// Each expectation is what Node prints.
#[tokio::test]
async fn what_is_there_is_right() {
    let bench = bench();
    for (code, expected) in [
        ("new Date(0).toLocaleString('en-US', { timeZone: 'America/New_York' })", "12/31/1969, 7:00:00 PM"),
        ("new Date(0).toLocaleString('de-DE', { timeZone: 'Europe/Berlin' })", "1.1.1970, 01:00:00"),
        ("new Date(1720000000000).toLocaleString('en-GB', { timeZone: 'Asia/Kolkata' })", "03/07/2024, 15:16:40"),
        ("new Date(1720000000000).toLocaleDateString('en-US', { timeZone: '+14:00' })", "7/3/2024"),
        (
            "new Date(1720000000000).toLocaleTimeString('en', { timeZone: 'UTC', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })",
            "09:46",
        ),
        ("new Date(NaN).toLocaleString()", "Invalid Date"),
        ("new Intl.DateTimeFormat('en-US', { timeZone: 'utc' }).resolvedOptions().timeZone", "UTC"),
        (
            "new Intl.DateTimeFormat('en-US', { timeZone: 'Europe/Berlin', year: 'numeric', hour: 'numeric', hourCycle: 'h23' }).formatToParts(0).map((part) => part.value).join('|')",
            "1970|, |01",
        ),
        ("new Intl.PluralRules('en').select(1)", "one"),
        ("new Intl.PluralRules('en').select(0)", "other"),
        (
            "[1, 2, 3, 4, 11, 112, 23].map((n) => new Intl.PluralRules('en', { type: 'ordinal' }).select(n)).join()",
            "one,two,few,other,other,other,few",
        ),
        ("new Intl.NumberFormat('de-DE').format(1234.5)", "1.234,5"),
        ("(1234567.891).toLocaleString()", "1,234,567.891"),
        ("(-0.0005).toLocaleString('en-US')", "-0.001"),
        ("(1e21).toLocaleString('en')", "1,000,000,000,000,000,000,000"),
        ("12345678901234567890n.toLocaleString('de')", "12.345.678.901.234.567.890"),
        ("(0.256).toLocaleString('en', { style: 'percent', maximumFractionDigits: 1 })", "25.6%"),
        ("(2).toLocaleString('de', { minimumFractionDigits: 2 })", "2,00"),
        (
            "[1000, NaN, -Infinity].map(new Intl.NumberFormat('en-US', { useGrouping: false }).format).join()",
            "1000,NaN,-\u{221e}",
        ),
        ("Intl.getCanonicalLocales('EN-us')[0]", "en-US"),
        ("['b', 'a'].sort(new Intl.Collator('en').compare).join()", "a,b"),
        ("[1234.5, new Date(0)].map((one) => typeof one.toLocaleString()).join()", "string,string"),
    ] {
        assert_eq!(bench.eval(&format!("return {code};")).await.unwrap(), json!(expected), "{code}");
    }
}

#[tokio::test]
async fn what_is_not_there_throws() {
    let bench = bench();
    for (code, expected) in [
        ("new Date(0).toLocaleString('fr-FR')", "UNSUPPORTED"),
        ("new Intl.PluralRules('ar')", "UNSUPPORTED"),
        ("new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' })", "UNSUPPORTED"),
        ("new Intl.NumberFormat('en', { notation: 'compact' })", "UNSUPPORTED"),
        ("new Date(0).toLocaleDateString('en-US', { month: 'long' })", "UNSUPPORTED"),
        ("new Intl.DateTimeFormat('en', { dateStyle: 'full' })", "UNSUPPORTED"),
        ("new Intl.DateTimeFormat('en', { timeZoneName: 'short' })", "UNSUPPORTED"),
        ("new Intl.Segmenter('en')", "UNSUPPORTED"),
        ("new Intl.RelativeTimeFormat('en')", "UNSUPPORTED"),
        ("new Intl.ListFormat('de')", "UNSUPPORTED"),
        ("new Intl.DurationFormat('en')", "UNSUPPORTED"),
        ("new Intl.DisplayNames('en', { type: 'region' })", "UNSUPPORTED"),
        ("new Date(0).toLocaleString('en-US', { timeZone: 'Mars/Phobos' })", "INVALID"),
    ] {
        let error = bench.eval(&format!("return {code};")).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some(expected), "{code}: {error}");
        assert!(error.message.starts_with("RangeError: "), "{code}: {error}");
    }
}
