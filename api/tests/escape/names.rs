//! E27–E30: B's objects by A, under their names, under twisted names, and with cursors.

use allmende_api::authz::policy::Allow;
use tonic::{Code, Status};

use super::{A, B, Table, World, named};
use crate::support::{
    probe::{self, Known},
    raw,
};

pub async fn try_all(world: &World, table: &mut Table) {
    objects(world, table).await;
    random(world, table).await;
    lists(world, table).await;
    twisted(world, table).await;
}

fn known(world: &World) -> Known {
    let last = |name: &str| name.rsplit('/').next().unwrap().to_owned();
    Known {
        grant: last(&world.grant),
        operation: last(&world.operation),
        loan: probe::UUID.to_owned(),
        credential: probe::UUID.to_owned(),
    }
}

fn of_members() -> impl Iterator<Item = probe::Rpc> {
    probe::all().into_iter().filter(|rpc| {
        let row = allmende_api::authz::policy::row(&rpc.name).unwrap();
        row.allow.iter().any(|allow| matches!(allow, Allow::Member(_) | Allow::Person(_)))
    })
}

/// With certificate and token of A, as the list asks.
async fn by_a(world: &World, path: &str, body: Vec<u8>) -> Status {
    let token = format!("Bearer {}", world.token_a());
    raw::call_with(world.channel_a(), path, body, &[("authorization", &token)]).await
}

async fn objects(world: &World, table: &mut Table) {
    let known = known(world);
    for rpc in of_members() {
        let resource = rpc.resource(B, &known);
        let status = by_a(world, &rpc.path(), rpc.body(&resource)).await;
        let method = rpc.name.trim_start_matches("allmende.v1.");
        assert_eq!(status.code(), Code::NotFound, "{method}: {status}");
        let shown = resource.replace(&known.grant, "…").replace(&known.operation, "…");
        table.denied("E27", format!("{method} `{shown}`"), &status);
    }
}

async fn random(world: &World, table: &mut Table) {
    let (known, mut compared) = (known(world), 0);
    for rpc in of_members() {
        let mut seen = Vec::new();
        for member in [B, "m-99999999"] {
            let status = by_a(world, &rpc.path(), rpc.body(&rpc.resource(member, &known))).await;
            let details: String = status.details().iter().map(|byte| char::from(*byte)).collect();
            seen.push(format!("{:?} {} {details}", status.code(), status.message()).replace(member, "*"));
        }
        assert_eq!(seen[0], seen[1], "{}", rpc.name);
        compared += 1;
    }
    assert!(compared > 20);
    let attempt = "B's id beside a random one: every RPC with a member in its name";
    table.row(
        "E28",
        attempt,
        format!("code, text and details are equal ({compared} RPCs; more in `rpcs.md`)"),
    );
}

async fn lists(world: &World, table: &mut Table) {
    for (parent, shown) in [
        ("members/-", "members/-"),
        ("", "empty"),
        ("members/*", "members/*"),
        ("members/", "members/"),
        ("members/m-", "members/m-"),
        ("members/%", "members/%"),
    ] {
        let mut statuses = Vec::new();
        for rpc in of_members().filter(|rpc| rpc.name.contains("/List")) {
            statuses.push(by_a(world, &rpc.path(), rpc.body(parent)).await);
        }
        table.all_denied("E29", format!("every List… of members, parent `{shown}`"), &statuses);
    }
    let path = "/allmende.v1.MemberService/ListBillTos";
    let mut body = named(&format!("members/{A}"));
    // A cursor that B's own list gave: page_token is field 3.
    let cursor = &world.cursor;
    body.extend([0x1a, u8::try_from(cursor.len()).unwrap()]);
    body.extend_from_slice(cursor.as_bytes());
    table.denied("E29", "ListBillTos of A with a page token of B's list", &by_a(world, path, body).await);
    let mut body = named(&format!("members/{B}"));
    body.extend([0x1a, u8::try_from(cursor.len()).unwrap()]);
    body.extend_from_slice(cursor.as_bytes());
    table.denied("E29", "ListBillTos of B with a page token of B's list", &by_a(world, path, body).await);
}

async fn twisted(world: &World, table: &mut Table) {
    for (name, shown) in [
        (format!("members/{A}/../{B}"), "members/A/../B"),
        (format!("members/{A}/../../members/{B}"), "members/A/../../members/B"),
        (format!("members/{A}%2F{B}"), "members/A%2FB"),
        (format!("members/{A}\0{B}"), "members/A\\0B"),
        (format!("members/{A}:{B}"), "members/A:B"),
        (format!("members/{A}/{B}"), "members/A/B"),
        (format!("members/{B} "), "members/B with a space behind"),
        (format!("members/{B}\u{200b}"), "members/B with a zero-width space behind"),
        ("members/ｍ-05766044".to_owned(), "members/B with a full-width m (NFKC twin)"),
        ("members/M-05766044".to_owned(), "members/B in capitals"),
        ("members/m-0576604".to_owned(), "the first letters of B"),
        ("members/m-057660440".to_owned(), "B and a letter more"),
        (format!("members//{B}"), "members//B"),
        (format!("/members/{B}"), "/members/B"),
        (format!("members/{B}/"), "members/B/"),
        (format!("members/{A},members/{B}"), "members/A,members/B"),
    ] {
        let status = by_a(world, "/allmende.v1.MemberService/GetMember", named(&name)).await;
        table.denied("E30", format!("GetMember `{shown}`"), &status);
        let tenant =
            by_a(world, "/allmende.v1.TenantService/GetTenant", named(&format!("{name}/tenants/prod"))).await;
        assert!(matches!(tenant.code(), Code::NotFound | Code::InvalidArgument), "{name}: {tenant}");
    }
}
