//! What a member counts, for Prometheus: `http://ADDRESS/metrics`, in the OpenMetrics format.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use quorate_core::Limits;
use quorate_core::frame::Level;
use quorate_driver::{Configuration, MemberHandle, MemberStatus};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::report::voters;

/// How long one request may take: a member answers nobody else meanwhile.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// After how long a socket that could not be accepted from is tried again.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(50);
/// What the answer says that it is.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Where a member's numbers are asked for.
#[derive(Debug)]
pub(crate) struct Metrics {
    listener: Option<TcpListener>,
    labels: [(&'static str, String); 2],
    limits: Limits,
}

impl Metrics {
    /// Listens on `address`, if there is one.
    pub(crate) async fn listen(
        address: Option<SocketAddr>,
        configuration: &Configuration,
    ) -> Result<Self, Failure> {
        let listener = match address {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await.map_err(|error| {
                    Failure::Failed(format!(
                        "cannot listen on {address} for --metrics: {error}; name an address of this \
                         machine and a free port"
                    ))
                })?;
                let address = listener.local_addr().map_or(address, |bound| bound);
                tracing::info!(%address, "metrics are at /metrics");
                Some(listener)
            }
        };
        let group = format!("{:#018x}", configuration.group.0);
        let labels = [("group", group), ("member", configuration.member.0.to_string())];
        Ok(Self { listener, labels, limits: configuration.limits.clone() })
    }

    /// The next one who asks; never, when nobody can.
    pub(crate) async fn next(&self) -> TcpStream {
        let Some(listener) = &self.listener else { return core::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return stream,
                // Of one connection, or for want of descriptors: the next may do better.
                Err(_) => sleep(ACCEPT_INTERVAL).await,
            }
        }
    }

    /// Answers one request on `stream`.
    pub(crate) async fn answer(&self, member: &MemberHandle<Ledger>, stream: TcpStream) {
        let service = service_fn(|request| self.respond(member, request));
        let connection =
            http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
        // What becomes of it is the other's concern.
        let _ = timeout(REQUEST_TIMEOUT, connection).await;
    }

    async fn respond(
        &self,
        member: &MemberHandle<Ledger>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, fmt::Error> {
        if request.method() != Method::GET || request.uri().path() != "/metrics" {
            return Ok(refusal(StatusCode::NOT_FOUND, "ask for GET /metrics\n"));
        }
        let Ok(status) = member.status().await else {
            return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "the member has ended\n"));
        };
        let mut response = Response::new(Full::from(self.text(status)?));
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        Ok(response)
    }

    fn text(&self, status: MemberStatus) -> Result<String, fmt::Error> {
        let labels = self.labels.iter().map(|(name, value)| ((*name).into(), value.clone().into()));
        let mut registry = Registry::with_labels(labels);
        registry.register_collector(Box::new(Sample { status, limits: self.limits.clone() }));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn refusal(status: StatusCode, why: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(why));
    *response.status_mut() = status;
    response
}

/// A member at one moment.
#[derive(Debug)]
struct Sample {
    status: MemberStatus,
    limits: Limits,
}

/// A name behind `quorate_`, what it is, and how it is read.
type Row = (&'static str, &'static str, fn(&Sample) -> u64);

/// What can go up and down.
const GAUGES: [Row; 37] = [
    ("term", "Current term", |s| s.status.view.term.0),
    ("leading", "Whether it leads", |s| {
        (s.status.view.leader == Some(s.status.view.life.member)).into()
    }),
    ("serving", "Whether it leads and serves clients", |s| s.status.view.serving.into()),
    ("members", "Members of the group, as far as its log says", |s| {
        s.status.members.membership.records().len() as u64
    }),
    ("voters", "Members of them that vote", |s| voters(&s.status.members.membership) as u64),
    ("voters_changing", "Whether a change of the voters is under way", |s| {
        s.status.members.membership.is_joint().into()
    }),
    (
        "most_lacking_bytes",
        "What the member lacks of the leader's log that lacks most; if it leads",
        |s| {
            let lacking = |held| s.status.view.verified.since(held);
            s.status.members.progress.iter().map(|it| lacking(it.held)).max().unwrap_or(0)
        },
    ),
    ("removed", "Whether it was removed from the group", |s| {
        s.status.members.removed_at.is_some().into()
    }),
    ("applicant", "Whether it lost its directory and is not readmitted", |s| {
        s.status.view.applicant.into()
    }),
    ("volatile", "Whether committed messages may be in memory only", |s| {
        (s.status.level == Level::Volatile).into()
    }),
    ("impaired", "Whether it may have lost bytes that it held, and has not healed", |s| {
        s.status.view.impaired.into()
    }),
    ("stopped", "Whether it went inert", |s| s.status.view.fail_stop.is_some().into()),
    ("seen_position_bytes", "Newest position heard of", |s| s.status.view.seen.0),
    ("received_position_bytes", "End of what was received without a hole", |s| {
        s.status.view.received.0
    }),
    ("verified_position_bytes", "End of the last whole frame of that", |s| {
        s.status.view.verified.0
    }),
    ("written_position_bytes", "End of what was handed to the disk", |s| s.status.view.written.0),
    ("durable_position_bytes", "End of what is durable here", |s| s.status.view.durable.0),
    ("commit_position_bytes", "End of what is known to be committed", |s| s.status.view.commit.0),
    (
        "safe_position_bytes",
        "End of what is durable on a quorum; 0 where only the leader knows",
        |s| s.status.view.safe.0,
    ),
    ("applied_position_bytes", "End of what the service applied", |s| s.status.view.applied.0),
    ("snapshot_position_bytes", "Where the newest snapshot stands", |s| s.status.view.snapshot.0),
    ("origin_position_bytes", "Where the log begins; what was before is purged", |s| {
        s.status.view.origin.0
    }),
    ("fetched_bytes", "Bytes of a snapshot of another member that is being fetched", |s| {
        s.status.view.fetching.map_or(0, |(_, bytes)| bytes)
    }),
    ("snapshot_writing_milliseconds", "For how long its own snapshot is being written", |s| {
        let progress = s.status.snapshot_progress;
        progress.map_or(0, |progress| progress.begun.elapsed().as_millis() as u64)
    }),
    (
        "snapshot_unwritten_bytes",
        "What is left of that: so much of the state may be in memory twice, at most",
        |s| {
            let progress = s.status.snapshot_progress;
            progress.map_or(0, |progress| progress.bytes.saturating_sub(progress.written))
        },
    ),
    ("log_time_milliseconds", "Cluster time of the last applied frame", |s| {
        s.status.view.log_time.0
    }),
    ("missing_bytes", "Bytes that were heard of and not received", |s| {
        s.status.view.seen.since(s.status.view.received)
    }),
    ("window_limit_bytes", "Limit of the window of the log", |s| s.limits.window_bytes),
    ("uncommitted_bytes", "Bytes of the log that are not committed", |s| {
        s.status.view.verified.since(s.status.view.commit)
    }),
    ("uncommitted_limit_bytes", "Limit of those, at a leader", |s| s.limits.uncommitted_bytes_max),
    ("unapplied_bytes", "Committed bytes that are not applied", |s| {
        s.status.view.commit.since(s.status.view.applied)
    }),
    ("unapplied_limit_bytes", "Limit of those, at a leader", |s| s.limits.unapplied_bytes_max),
    ("sessions", "Open sessions", |s| s.status.view.sessions as u64),
    ("sessions_limit", "Limit of open sessions", |s| s.limits.sessions_max as u64),
    ("mending", "Whether its log has rotted and is mended by others", |s| {
        s.status.scrub.mending_at.is_some().into()
    }),
    ("scrub_last_pass_seconds", "When it last had read everything again, since 1970", |s| {
        let since = s.status.scrub.last_pass.map(|at| at.duration_since(UNIX_EPOCH));
        since.and_then(Result::ok).map_or(0, |since| since.as_secs())
    }),
    ("session_messages_limit", "Limit of unanswered messages of a session", |s| {
        s.limits.in_flight_max as u64
    }),
];

/// What only grows.
const COUNTERS: [Row; 47] = [
    ("elections_won", "Elections won", |s| s.status.counters.elections_won),
    ("canvasses", "Canvasses begun", |s| s.status.counters.canvasses),
    ("naks_sent", "NAKs sent for the log", |s| s.status.counters.naks_sent),
    ("nak_ranges_sent", "Ranges in them", |s| s.status.counters.nak_ranges_sent),
    ("naks_received", "NAKs received", |s| s.status.counters.naks_received),
    ("repair_bytes_sent", "Repair bytes sent", |s| s.status.counters.repair_bytes_sent),
    ("repairs_sent", "Repair datagrams sent", |s| s.status.counters.repairs_sent),
    ("repairs_refused", "Ranges not sent for want of bytes or budget", |s| {
        s.status.counters.repairs_refused
    }),
    ("duplicate_bytes", "Log bytes received twice", |s| s.status.counters.duplicate_bytes),
    ("slices_dropped", "Log slices of no use", |s| s.status.counters.slices_dropped),
    ("frames_rejected", "Frames whose checksum failed", |s| s.status.counters.frames_rejected),
    ("cuts", "Times that an adopted history cut the log", |s| s.status.counters.cuts),
    ("datagrams_ignored", "Datagrams of strangers, old lives, or without meaning", |s| {
        s.status.counters.datagrams_ignored
    }),
    ("completions_ignored", "Completions of another life or a void operation", |s| {
        s.status.counters.completions_ignored
    }),
    ("duplicates_suppressed", "Duplicate messages suppressed", |s| {
        s.status.counters.duplicates_suppressed
    }),
    ("messages_appended", "Messages appended as leader", |s| s.status.counters.messages_appended),
    ("messages_applied", "Messages handed to the service", |s| s.status.counters.messages_applied),
    ("snapshots_stored", "Snapshots stored", |s| s.status.counters.snapshots_stored),
    ("snapshots_failed", "Snapshots that could not be stored", |s| {
        s.status.counters.snapshots_failed
    }),
    ("snapshots_skipped", "Markers met while a snapshot was under way", |s| {
        s.status.counters.snapshots_skipped
    }),
    ("snapshot_fetches", "Transfers of snapshots of others that were begun", |s| {
        s.status.counters.snapshot_fetches
    }),
    ("snapshot_bytes_received", "Bytes of them that were received, each counted once", |s| {
        s.status.counters.snapshot_bytes_received
    }),
    ("snapshot_bytes_sent", "Bytes of snapshots that were sent to others", |s| {
        s.status.counters.snapshot_bytes_sent
    }),
    ("snapshots_differing", "Snapshots of others that are not what this member has there", |s| {
        s.status.counters.snapshots_differing
    }),
    ("snapshots_rejected", "Snapshots of others that could not be used", |s| {
        s.status.counters.snapshots_rejected
    }),
    ("replies_resent", "Replies sent again", |s| s.status.counters.replies_resent),
    ("back_pressure", "Times that admission stopped for want of room", |s| {
        s.status.counters.back_pressure
    }),
    ("datagrams_sent", "Datagrams sent", |s| s.status.datagrams.sent),
    ("datagrams_sent_bytes", "Bytes in them", |s| s.status.datagrams.sent_bytes),
    ("datagrams_unsent", "Datagrams that the socket did not take", |s| s.status.datagrams.unsent),
    ("datagrams_received", "Datagrams received", |s| s.status.datagrams.received),
    ("datagrams_received_bytes", "Bytes in them", |s| s.status.datagrams.received_bytes),
    ("datagrams_undecodable", "Datagrams that could not be decoded", |s| {
        s.status.datagrams.undecodable.values().sum()
    }),
    ("receive_errors", "Errors of the socket when receiving", |s| {
        s.status.datagrams.receive_errors
    }),
    ("receive_overflows", "Datagrams dropped from a full receive buffer", |s| {
        s.status.datagrams.overflows.unwrap_or(0)
    }),
    ("appends", "Appends written", |s| s.status.storage.appends),
    ("append_bytes", "Bytes in them", |s| s.status.storage.append_bytes),
    ("appends_refused", "Appends refused for want of space", |s| s.status.storage.appends_refused),
    ("syncs", "Syncs asked for", |s| s.status.storage.syncs),
    ("persists", "Votes, histories and peer records asked for", |s| s.status.storage.persists),
    ("reads", "Reads of the log asked for", |s| s.status.storage.reads),
    ("scrub_bytes", "Stored bytes read again", |s| s.status.scrub.bytes),
    ("scrub_passes", "Times that everything was", |s| s.status.scrub.passes),
    ("log_damages", "Frames that had rotted", |s| s.status.scrub.log_damages),
    ("snapshot_damages", "Snapshots that had rotted", |s| s.status.scrub.snapshot_damages),
    ("mendings", "Times that others mended the log", |s| s.status.scrub.mendings),
    ("mended_bytes", "Bytes of the log written anew so", |s| s.status.scrub.mended_bytes),
];

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in GAUGES {
            let gauge = ConstGauge::new(i64::try_from(value(self)).unwrap_or(i64::MAX));
            let name = format!("quorate_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        for (name, help, value) in COUNTERS {
            let counter = ConstCounter::new(value(self));
            let name = format!("quorate_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASHBOARD: &str = include_str!("../../docs/grafana/quorate.json");

    fn metrics() -> Metrics {
        let labels = [("group", "0x07".into()), ("member", "1".into())];
        Metrics { listener: None, labels, limits: Limits::default() }
    }

    #[test]
    fn a_member_is_told_in_the_open_metrics_format() {
        let mut status = MemberStatus::default();
        status.view.term.0 = 5;
        status.counters.naks_sent = 7;
        let text = metrics().text(status).unwrap();
        assert!(text.contains("# TYPE quorate_term gauge\n"), "{text}");
        assert!(text.contains("quorate_term{group=\"0x07\",member=\"1\"} 5\n"), "{text}");
        assert!(
            text.contains("quorate_naks_sent_total{group=\"0x07\",member=\"1\"} 7\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_dashboard_asks_for_nothing_that_there_is_not() {
        let text = metrics().text(MemberStatus::default()).unwrap();
        let told: Vec<&str> =
            text.lines().filter_map(|line| line.split_once('{')).map(|(name, _)| name).collect();
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
        let mut asked = 0;
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap();
                let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                for name in words.filter(|word| word.starts_with("quorate_")) {
                    assert!(told.contains(&name), "{name} in `{expression}`");
                    asked += 1;
                }
            }
        }
        assert!(asked > 20, "{asked}");
    }
}
