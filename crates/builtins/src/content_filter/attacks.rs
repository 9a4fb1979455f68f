//! Patterns of injected SQL, injected shell commands, and paths that lead where nobody should be led.
//!
//! They look for what an attack needs and honest text rarely has: a quote that is followed by a condition, a separator
//! that is followed by a command, dots that climb. A filter of texts cannot know where a text ends up, so this is a net
//! and no proof: a tool must still bind its parameters and check its paths.

/// What stands between words of SQL: white space, or a comment in place of it.
const GAP: &str = r"(?:[ \t\r\n+]|/\*[^*]*\*/)+";

/// Programs that injected commands start.
const PROGRAM: &str = r"(?:rm|cat|wget|curl|nc|ncat|netcat|telnet|bash|sh|zsh|ksh|dash|python[0-9.]*|perl|ruby|php|node|chmod|chown|kill|killall|mkfs[.a-z0-9]*|dd|whoami|uname|passwd|useradd|crontab|shutdown|reboot|powershell|pwsh|cmd(?:\.exe)?|certutil|nslookup|scp|ssh)";

/// Injected SQL.
pub(super) fn sql() -> Vec<String> {
    [
        // A quote is closed and a condition that always holds follows.
        r#"['"`]\)*MAY(?:or|and|\|\||&&)MAY\(*['"a-z0-9_]+['"`]?MAY(?:=|<|>|!=|likeMAY['"])"#,
        r"\b(?:or|and)GAP\(?[0-9]+MAY=MAY[0-9]+\b",
        r#"['"`]\)*MAY(?:or|and)GAP(?:true|false|not\b|exists\b)"#,
        // A quote is closed and the rest becomes a comment.
        r#"['"`]\)*\s*;?\s*(?:--(?:\s|$|[^\s-])|#\s*$|/\*)"#,
        // A second statement follows.
        r"[;']MAY(?:drop|truncate|alter|create|grant|revoke|shutdown)GAP(?:table|database|schema|view|user|index|role|all|column|function|procedure)\b",
        r"[;']MAY(?:insertGAPinto|deleteGAPfrom|updateGAP[^ ;]+GAPset|exec(?:ute)?GAP(?:xp_|sp_|master)|declareGAP@)",
        r"\bunionGAP(?:(?:all|distinct)GAP)?\(?MAYselect\b",
        // What only somebody who looks around needs.
        r"\b(?:pg_sleep|benchmark|load_file|extractvalue|updatexml|utl_http\.request|dbms_pipe\.receive_message)\s*\(",
        r"\bsleep\s*\(\s*[0-9.]+\s*\)",
        r"\bwaitforGAPdelay\b|\bxp_cmdshell\b|\bintoGAP(?:out|dump)file\b|\binformation_schema\s*\.|\bsqlite_master\b",
    ]
    .iter()
    .map(|pattern| ascii(&pattern.replace("GAP", GAP).replace("MAY", &format!("(?:{GAP})?"))))
    .collect()
}

/// Injected shell commands.
pub(super) fn commands() -> Vec<String> {
    [
        // A separator, and a program behind it.
        r"(?:;|\|\|?|&&?|\$\(|`|<\(|>\()\s*(?:sudo\s+)?(?:/(?:usr/)?(?:s?bin|local/bin)/)?PROGRAM(?:\s|$|[;|&)`<>])",
        r"(?:\$\(|`)\s*(?:id|ls|env|printenv|pwd|hostname|ps|echo|find|grep|awk|sed|sleep|ping)(?:\s[^`)]{0,200})?[`)]",
        r"[;|&]\s*(?:id|ls|env|printenv|pwd|hostname|ps)\s*(?:[;|&#]|$|\s-[a-z])",
        r"[;|&]\s*(?:ping|sleep)\s+(?:-[a-z]\s*)?[0-9]",
        r"\brm\s+-[a-z]*[rf][a-z]*\s",
        r"/(?:usr/)?bin/(?:ba|z|k|c|da|tc)?sh\b",
        r"\$\{?IFS\b",
        r"/dev/(?:tcp|udp)/",
        r"\b(?:ba|z|k|da)?sh\s+-i\b|\bsh\s+-c\s",
        r"\b(?:nc|ncat|netcat)\s[^\n]{0,100}-[a-z]*e\b",
        r">{1,2}\s*/(?:etc|dev/sd|boot|bin|sbin|usr|root)\b",
        r":\(\)\s*\{\s*:\s*\|\s*:",
        r"\bpowershell(?:\.exe)?\s+-(?:e|enc|nop|w|c|command)[a-z]*\b",
    ]
    .iter()
    .map(|pattern| ascii(&pattern.replace("PROGRAM", PROGRAM)))
    .collect()
}

/// Paths out of where they belong, and to what belongs to the system.
pub(super) fn paths() -> Vec<String> {
    [
        // Dots and slashes, percent-encoded once or twice, or as overlong UTF-8, too.
        r"(?:^|[^.a-z0-9_])(?:\.|%(?:25)?2e){2}(?:[/\\]|%(?:25)?(?:2f|5c)|%c0%af|%c1%9c)",
        r"[/\\](?:\.|%(?:25)?2e){2}(?:$|[/\\\s\x22'])",
        r"/etc/(?:passwd|shadow|gshadow|group|sudoers|ssh\b|hosts\b|crontab|ssl/private|kubernetes|security)",
        r"/(?:proc/(?:self|[0-9]+|kcore)\b|sys/kernel\b|dev/(?:mem|kmem|sd[a-z]|nvme)|boot/)",
        r"(?:^|[\s\x22'=:(])/root(?:/|$|\s)",
        r"(?:~|\$\{?HOME\}?|/home/[^/\s]+)/\.(?:ssh|aws|gnupg|kube|docker|netrc|pgpass|npmrc|pypirc|bash_history|config/gcloud)",
        r"\.ssh/(?:id_[a-z0-9]+|authorized_keys|known_hosts)\b",
        r"/var/(?:run/docker\.sock|run/secrets|log/(?:auth|secure|wtmp)|spool/cron)|/run/secrets/",
        r"(?:%(?:systemroot|windir)%|\b[a-z]:[/\\]+windows)[/\\]+|[/\\]system32[/\\]|\bboot\.ini\b",
        r"\x00|%00",
        r"\bfile:/{2,}",
    ]
    .map(ascii)
    .to_vec()
}

/// The pattern with white space and word boundaries of ASCII, which is all that its targets know, and far smaller.
fn ascii(pattern: &str) -> String {
    pattern.replace(r"\b", r"(?-u:\b)").replace(r"\s", r"[ \t\r\n]")
}
