//! Asking a gateway's management surface, one connection for each request.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The credential that a gateway leaves in its state folder for the command line, while it runs.
pub(crate) fn local_token(state: &Path) -> anyhow::Result<String> {
    let file = state.join("cli-token");
    let text = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    let known: Value = serde_json::from_slice(&text)?;
    known["token"].as_str().map(str::to_owned).context("the gateway left no token")
}

/// The body that a request is answered with.
///
/// # Errors
/// When there is no answer in time, or one of another status than 200.
pub(crate) async fn ask(port: u16, method: &str, path: &str, token: Option<&str>) -> anyhow::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-length: \
             0\r\n{authorization}\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let answer =
        answer.with_context(|| format!("{method} {path} was not answered within {PATIENCE:?}"))??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        bail!("{method} {path} was answered with {}: {body}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// What a gateway counts under the metric `name`, over all its labels.
pub(crate) async fn counted(port: u16, name: &str) -> anyhow::Result<f64> {
    let metrics = ask(port, "GET", "/metrics", None).await?;
    Ok(sum_of(&metrics, name))
}

fn sum_of(metrics: &str, name: &str) -> f64 {
    let of_name = metrics.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| {
        // Not another metric whose name begins alike.
        rest.starts_with(['{', ' '])
    });
    let numbers = of_name.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok());
    // The sum of none would be a negative zero.
    numbers.fold(0.0, |sum, number| sum + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_is_summed_over_its_labels_and_no_other_is_taken_for_it() {
        let metrics =
            "# HELP a_total x\na_total{reason=\"full\"} 2\na_total{reason=\"b c\"} 3\na_total_more 9\nb 1\n";
        assert_eq!(sum_of(metrics, "a_total"), 5.0);
        assert_eq!(sum_of(metrics, "b"), 1.0);
        assert_eq!(sum_of(metrics, "c"), 0.0);
    }
}
