//! `claviger admin`: the way to the first token.

use super::{Shell, text};

#[tokio::test]
async fn the_first_token_of_a_database_is_made_on_the_machine_that_holds_it() {
    let shell = Shell::new();
    let made = shell.run(&["admin", "create", "--role", "owner", "Ada Lovelace"]).expect(0);
    let token = made.line();
    assert!(token.starts_with("op_admin_") && made.err.contains("Ada Lovelace") && !made.err.contains(&token[9..]), "{made:?}");
    let server = shell.serve();
    let org = server.bearer(&token).create_org("acme").await;
    assert_eq!(text(&shell.json(&["org", "get", "acme"]), "/id"), org);

    let second = shell.json(&["admin", "create", "--role", "owner", "Grace"]);
    let first = shell.run(&["admin", "list", "-o", "id"]).expect(0).out.lines().next().unwrap().to_owned();
    assert_eq!(text(&shell.json(&["admin", "revoke", &first, "--yes"]), "/admin/state"), "revoked");
    server.bearer(&token).get("/v1/orgs").await.expect(401);
    server.bearer(&text(&second, "/secret")).get("/v1/orgs").await.expect(200);
    let last = text(&second, "/admin/id");
    shell.run(&["admin", "revoke", &last, "--yes"]).expect(1);
    server.bearer(&text(&second, "/secret")).get("/v1/orgs").await.expect(200);
}

#[test]
fn an_admin_has_one_of_the_roles_that_there_are() {
    for shell in Shell::both() {
        shell.run(&["admin", "create", "--role", "root", "Ada"]).refused(2, "a role is `owner`, `operator` or `auditor`");
        shell.run(&["admin", "create", "Ada"]).refused(2, "--role");
        shell.run(&["admin", "create", "--role", "auditor", "Ada", "-o", "id"]).refused(2, "would lose the secret");
        assert_eq!(text(&shell.json(&["admin", "create", "--role", "auditor", "Ada"]), "/admin/role"), "auditor");
        let table = shell.run(&["admin", "list"]).expect(0).out;
        assert!(table.contains("op_admin_…") && table.lines().count() == 2 + usize::from(shell.server.is_some()), "{table}");
        shell.run(&["admin", "revoke", "adm_01kaw9m3gz5v8r7q2n4c6x0b1d", "--yes"]).refused(1, "there is no admin");
        shell.run(&["admin", "revoke", "ada", "--yes"]).refused(2, "adm_");
    }
}
