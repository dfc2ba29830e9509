//! Every file under `tests/cases/`, through the door that owns its path.

use std::fs;
use std::path::{Path, PathBuf};

use typingd_providers::{Provider, Refusal};

use crate::exchange::{Exchange, Given, understood, written};
use crate::fixture::{NOW, all_doors, receipt};

#[test]
fn every_exchange_is_answered_as_the_vendor_would() {
    let doors = all_doors();
    let mut failures = Vec::new();
    for folder in ["kaleyra", "pinnacle", "rbm", "salesforce"] {
        let files = files(folder);
        assert!(files.len() > 20, "{folder} has {} cases", files.len());
        for file in files {
            let text = fs::read_to_string(&file).expect("the case can be read");
            if let Err(difference) = check(&doors, folder, Exchange::read(&text)) {
                failures.push(format!(
                    "{}\n{}\n{difference}",
                    file.display(),
                    text.lines().next().unwrap_or("")
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail\n\n{}", failures.len(), failures.join("\n\n"));
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "http"));
    files.sort_unstable();
    files
}

fn check(doors: &[Box<dyn Provider>], owner: &str, exchange: Exchange) -> Result<(), String> {
    let path = exchange.head.uri.path();
    let door = doors.iter().find(|door| door.owns(path)).ok_or("no door owns the path")?;
    let expected = (exchange.answer.clone(), exchange.understood.clone());
    let (answer, understood) = exchange_with(door.as_ref(), exchange);
    same("owner", owner, door.name())?;
    same("answer", &expected.0, &answer)?;
    expected.1.map_or(Ok(()), |expected| same("understood", &expected, &understood))
}

/// Does what the gateway does: admits, reads, answers.
fn exchange_with(door: &dyn Provider, exchange: Exchange) -> (String, String) {
    let Exchange { given, head, body, .. } = exchange;
    let decoded = door.admit(&head, NOW).map_err(Refusal::from).and_then(|account| match &given {
        Given::BeforeBody(rejection) => Err(rejection.clone().into()),
        _ => door.decode(account, &head, &body, NOW),
    });
    match (decoded, given) {
        (Err(refusal), _) => (written(&door.refuse(&head, &refusal)), String::new()),
        (Ok(call), Given::AfterDecode(rejection)) => {
            let understood = understood(&call);
            let refusal = Refusal { rejection, reference: call.reference };
            (written(&door.refuse(&head, &refusal)), understood)
        }
        (Ok(call), given) => {
            let understood = understood(&call);
            let is_open = call.opens_conversation || matches!(given, Given::OpenConversation);
            (written(&(call.reply)(&receipt(is_open))), understood)
        }
    }
}

fn same(what: &str, expected: &str, seen: &str) -> Result<(), String> {
    if expected == seen { Ok(()) } else { Err(format!("{what} expected:\n{expected}\n{what} seen:\n{seen}")) }
}
