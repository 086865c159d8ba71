//! docs/REDIS.md says what these tests show.

const PAGE: &str = include_str!("../../docs/REDIS.md");

/// The line that makes the user, as it stands in the documentation.
pub(crate) fn acl_line() -> &'static str {
    let line = PAGE.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER cache "));
    let line = line.expect("the documentation has the line");
    let at = line.as_ptr() as usize - PAGE.as_ptr() as usize - "ACL SETUSER cache ".len();
    &PAGE[at..at + "ACL SETUSER cache ".len() + line.len()]
}

#[test]
fn every_row_names_a_test_that_there_is() {
    let sources = [
        include_str!("login.rs"),
        include_str!("loss.rs"),
        include_str!("memory.rs"),
        include_str!("old_server.rs"),
        include_str!("permissions.rs"),
        include_str!("roles.rs"),
        include_str!("tls.rs"),
        include_str!("trouble.rs"),
        include_str!("../store_redis.rs"),
        include_str!("../promises/outage.rs"),
    ]
    .concat();
    let table = PAGE.split("## What happens when").nth(1).expect("there is the table");
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut count = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let name = row.trim_end_matches(" |").rsplit('|').next().unwrap().trim();
        let name = name.split('`').nth(1).unwrap_or_default();
        let there =
            sources.contains(&format!("fn {name}(")) || sources.contains(&format!("{name}: \""));
        assert!(there, "no test {name:?} for {row}");
        count += 1;
    }
    assert!(count > 15, "{count}");
}

#[test]
fn the_list_of_commands_is_that_of_the_line() {
    let list = PAGE.split("The commands are ").nth(1).expect("there is the list");
    let list = list.split_once('.').unwrap().0;
    let mut listed: Vec<String> = list
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter_map(|word| word.strip_prefix('`'))
        .map(|word| word.trim_end_matches('`').to_lowercase())
        .collect();
    listed.sort_unstable();
    let mut permitted: Vec<String> = acl_line()
        .split_whitespace()
        .filter_map(|word| word.strip_prefix('+'))
        .map(|word| word.replace('|', "_"))
        .collect();
    permitted.sort_unstable();
    let listed: Vec<String> = listed.into_iter().map(|name| name.replace('|', "_")).collect();
    assert_eq!(listed, permitted);
}
