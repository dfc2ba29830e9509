//! A master of a cluster dies under load. Its slots are served again when its replica has been elected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::sleep;

use super::away::Work;
use super::redis::Cluster;
use super::spread;
use crate::load::program::alone;

#[tokio::test]
async fn a_master_that_dies_is_followed_by_its_replica() {
    let _turn = alone().await;
    let mut cluster = Cluster::start().await;
    let mut work = Work::start("cluster", &cluster.section(), 600).await;
    cluster.masters[0].kill().await;
    let killed_at = work.clock.elapsed();
    // The replica is elected when the others have noticed.
    sleep(Duration::from_secs(5)).await;
    let (mut said, _) = work.until_recovered(work.clock.elapsed(), false).await;
    let recovered = work.clock.elapsed();
    sleep(Duration::from_secs(1)).await;
    for watcher in &work.watchers {
        assert_eq!(watcher.view(), work.lasting, "it stays so");
    }
    let (typed, quiet) = work.quiet().await;
    said.extend(typed);

    let after: Vec<_> = said.iter().filter(|said| said.at > killed_at).collect();
    let local: BTreeSet<&str> =
        after.iter().filter(|said| said.is_local()).map(|said| said.user.as_str()).collect();
    let users: BTreeMap<&str, usize> = after.iter().map(|said| (said.user.as_str(), 1)).collect();
    let last_local =
        after.iter().filter(|said| said.is_local()).map(|said| said.at).max().unwrap_or_default();
    let took = |is_local: bool| {
        let of = after.iter().filter(|said| local.contains(said.user.as_str()) == is_local);
        spread(of.map(|said| said.took).collect())
    };
    println!(
        "a master dies: {} of {} conversations are concerned, for {:?}, answered within p50, p99, max {:?}; the others \
         within {:?}; all see the same {:?} after its death; nothing is on {quiet:?} after all have stopped",
        local.len(),
        users.len(),
        last_local.saturating_sub(killed_at),
        took(true),
        took(false),
        recovered - killed_at,
    );
    assert!(after.iter().all(|said| said.answer.status == 200), "all are answered");
    assert!(!local.is_empty() && local.len() < users.len(), "a part is concerned");
    assert!(after.iter().all(|said| said.took < Duration::from_secs(1)), "none waits for long");
    assert!(last_local < killed_at + Duration::from_secs(6), "the replica takes over");
}
